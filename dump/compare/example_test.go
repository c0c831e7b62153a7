package compare_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"lvmsync/dump"
	"lvmsync/dump/compare"
	"lvmsync/format"
)

// Dump what differs between two images.
func Example() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	older, newer := filepath.Join(folder, "old.img"), filepath.Join(folder, "new.img")
	image := make([]byte, 1<<20)
	err = os.WriteFile(older, image, 0o600)
	copy(image[8192:], "hello")
	if err = errors.Join(err, os.WriteFile(newer, image, 0o600)); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	src, err := compare.Open(ctx, newer, older, 4096)
	if err != nil {
		log.Fatal(err)
	}
	defer src.Close()
	var patch bytes.Buffer
	// ExactBase: what is equal is left out, so the destination must hold the old image.
	report, err := dump.Run(ctx, src, &patch,
		dump.Options{ExactBase: true, BlockSize: 4096, Level: 1})
	if err != nil {
		log.Fatal(err) // the patch has no trailer then
	}
	fmt.Printf("%d of %d bytes are sent\n", report.Totals.Bytes(), report.Header.VolumeSize)
	header, _, err := format.Verify(&patch)
	fmt.Println(header.Kind, err)
	// Output:
	// 4096 of 1048576 bytes are sent
	// delta <nil>
}
