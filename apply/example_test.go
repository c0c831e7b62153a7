package apply_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"lvmsync/apply"
	"lvmsync/format"
)

func warn(message string) { fmt.Fprintln(os.Stderr, message) }

// writePatches makes a full patch of a volume of 8 KiB, and a delta that follows it.
func writePatches() (full, delta *bytes.Reader) {
	base := uuid.New()
	write := func(h format.Header, off int64, data string) *bytes.Reader {
		var patch bytes.Buffer
		h.Created, h.VolumeSize, h.Granularity = time.Now(), 8192, 4096
		w, err := format.NewWriter(&patch, h, format.WriterOptions{Level: 1})
		if err != nil {
			log.Fatal(err)
		}
		defer w.Abort()
		s := w.NewSegment()
		block := append([]byte(data), make([]byte, 4096-len(data))...)
		err = s.Add(format.Record{Extent: format.Extent{Off: off, Len: 4096}}, block)
		if err == nil && h.Kind == format.Full {
			rest := format.Extent{Off: 4096, Len: 4096, Kind: format.Zero}
			err = s.Add(format.Record{Extent: rest}, nil)
		}
		if err == nil {
			err = w.Write(s)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			log.Fatal(err)
		}
		return bytes.NewReader(patch.Bytes())
	}
	return write(format.Header{ID: base, Kind: format.Full}, 0, "hello"),
		write(format.Header{ID: uuid.New(), Kind: format.Delta, Base: &format.Base{Patch: base}},
			4096, "world")
}

// Check that patches are whole and follow one another.
func ExampleVerify() {
	full, delta := writePatches()
	chain := []apply.Patch{{Name: "full", Reader: full}, {Name: "delta", Reader: delta}}
	verified, err := apply.Verify(context.Background(), chain, apply.VerifyOptions{Warn: warn})
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range verified {
		fmt.Printf("%s: a whole %s patch of %d bytes of the volume\n",
			v.Name, v.Header.Kind, v.Totals.Bytes())
	}
	// Output:
	// full: a whole full patch of 8192 bytes of the volume
	// delta: a whole delta patch of 4096 bytes of the volume
}

// Apply patches to a new image.
func ExampleRun() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	image := filepath.Join(folder, "volume.img")
	full, delta := writePatches()
	chain := []apply.Patch{{Name: "full", Reader: full}, {Name: "delta", Reader: delta}}
	report, err := apply.Run(context.Background(), chain, apply.Options{
		Destination: image,
		Create:      true,
		Verify:      true,
		Warn:        warn,
	})
	if err != nil { // a *PartialError, if the image holds a part of it now
		log.Fatal(err)
	}
	fmt.Printf("%d patches applied, %d bytes written\n", report.Patches, report.Written)
	b, err := os.ReadFile(image)
	fmt.Printf("%d bytes, %s %s, %v\n", len(b), b[:5], b[4096:4101], err)
	// Output:
	// 2 patches applied, 8192 bytes written
	// 8192 bytes, hello world, <nil>
}
