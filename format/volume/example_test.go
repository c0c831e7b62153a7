package volume_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/volume"
)

// patch makes a patch of a volume of 1 MiB with a text at some byte of it. Before and behind
// that a full one has zeros.
func patch(kind format.Kind, at int64, text string) *bytes.Reader {
	const size = 1 << 20
	var out bytes.Buffer
	w, err := format.NewWriter(&out, format.Header{ID: uuid.New(), Kind: kind,
		Created: time.Now(), VolumeSize: size, Granularity: 512}, format.WriterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	s := w.NewSegment()
	data := append([]byte(text), make([]byte, 512-len(text))...)
	records := []format.Record{{Extent: format.Extent{Off: at, Len: 512}}}
	if kind == format.Full {
		records = []format.Record{
			{Extent: format.Extent{Off: 0, Len: at, Kind: format.Zero}}, records[0],
			{Extent: format.Extent{Off: at + 512, Len: size - at - 512, Kind: format.Zero}}}
	}
	for _, r := range records {
		part := data
		if r.Kind == format.Zero {
			part = nil
		}
		if err := s.Add(r, part); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Write(s); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	return bytes.NewReader(out.Bytes())
}

// Read what a full patch and a delta leave, without restoring them.
func Example() {
	var chain []volume.Patch
	for _, r := range []*bytes.Reader{
		patch(format.Full, 4096, "monday"), patch(format.Delta, 8192, "tuesday")} {
		f, err := format.OpenFile(r, r.Size())
		if err != nil {
			log.Fatal(err)
		}
		chain = append(chain, volume.Patch{Name: fmt.Sprint("patch ", len(chain)), File: f})
	}
	v, err := volume.Open(chain, volume.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	for off := v.Next(0, format.Data); off < v.Size(); off = v.Next(off, format.Data) {
		end := v.Next(off, format.Zero)
		text, err := io.ReadAll(io.NewSectionReader(v, off, end-off))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("[%d, %d) of %d: %s\n", off, end, v.Size(), bytes.TrimRight(text, "\x00"))
		off = end
	}
	// Output:
	// [4096, 4608) of 1048576: monday
	// [8192, 8704) of 1048576: tuesday
}
