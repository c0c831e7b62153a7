package format_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// writePatch writes a delta of a volume of 1 MiB: five bytes at its end, and a
// stretch that reads as zeros now.
func writePatch(w io.Writer) error {
	h := format.Header{
		ID:          uuid.MustParse("6ba7b810-9dad-41d1-80b4-00c04fd430c8"),
		Kind:        format.Delta,
		Created:     time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		VolumeSize:  1<<20 + 5,
		Granularity: 4096,
	}
	pw, err := format.NewWriter(w, h, format.WriterOptions{Level: 1})
	if err != nil {
		return err
	}
	defer pw.Abort() // does nothing after Close
	s := pw.NewSegment()
	zeros := format.Record{Extent: format.Extent{Off: 8192, Len: 4096, Kind: format.Zero}}
	if err := s.Add(zeros, nil); err != nil {
		return err
	}
	hello := format.Record{Extent: format.Extent{Off: 1 << 20, Len: 5, Kind: format.Data}}
	if err := s.Add(hello, []byte("hello")); err != nil {
		return err // ErrFull, of a large patch: Write this segment, Add to the next
	}
	if err := pw.Write(s); err != nil {
		return err
	}
	return pw.Close()
}

// Write a patch.

func ExampleWriter() {
	var patch bytes.Buffer
	if err := writePatch(&patch); err != nil {
		log.Fatal(err)
	}
	header, totals, err := format.Verify(&patch)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s of a volume of %d bytes\n", header.Kind, header.VolumeSize)
	fmt.Printf("%d extents, %d bytes of data, %d of zeros\n",
		totals.Extents, totals.DataBytes, totals.ZeroBytes)
	// Output:
	// delta of a volume of 1048581 bytes
	// 2 extents, 5 bytes of data, 4096 of zeros
}

// Read a patch from a stream.
func ExampleReader() {
	var patch bytes.Buffer
	if err := writePatch(&patch); err != nil {
		log.Fatal(err)
	}
	r, err := format.NewReader(&patch, format.ReaderOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for {
		s, err := r.Next()
		if err == io.EOF {
			break // only after a whole patch
		}
		if err != nil {
			log.Fatal(err)
		}
		for record, data := range s.All() {
			fmt.Printf("%v %q\n", record.Extent, data)
		}
		s.Release()
	}
	// Output:
	// zero extent [8192, 12288) ""
	// data extent [1048576, 1048581) "hello"
}

// List the extents of a patch that can be read at random.
func ExampleFile() {
	var patch bytes.Buffer
	if err := writePatch(&patch); err != nil {
		log.Fatal(err)
	}
	f, err := format.OpenFile(bytes.NewReader(patch.Bytes()), int64(patch.Len()))
	if err != nil {
		log.Fatal(err)
	}
	for i, entry := range f.Index() {
		s, err := f.ReadSegment(i)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("segment %d, within [%d, %d) of the volume:\n", i, entry.Start, entry.End)
		for _, r := range s.Records {
			fmt.Println(r.Extent)
		}
		s.Release()
	}
	// Output:
	// segment 0, within [8192, 1048581) of the volume:
	// zero extent [8192, 12288)
	// data extent [1048576, 1048581)
}
