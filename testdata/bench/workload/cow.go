package main

import (
	"io"
	"os"

	"lvmsync/testdata/cowstore"
)

// store writes a COW store that lists the chunks of the extents in random order, as a
// busy origin leaves it, with what they held in old.
func (m *maker) store(path, old string, chunk int64, list []extent) error {
	var chunks []int64
	for _, e := range list {
		for c := e.off / chunk; c <= (e.off+e.len-1)/chunk; c++ {
			if len(chunks) == 0 || chunks[len(chunks)-1] != c {
				chunks = append(chunks, c)
			}
		}
	}
	m.rnd.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
	in, err := os.Open(old)
	if err != nil {
		return err
	}
	defer in.Close()
	return cowstore.Create(path, chunk, chunks, func(f *os.File, c, at int64) error {
		_, err := io.Copy(io.NewOffsetWriter(f, at), io.NewSectionReader(in, c*chunk, chunk))
		return err
	})
}
