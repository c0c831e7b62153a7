package main

import (
	"encoding/binary"
	"errors"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"lvmsync/testdata/cowstore"
)

// places is how many chunks of text a volume of 16 TiB has: few enough to be made quickly.
// Smaller ones have fewer in proportion, so that a changed byte costs the same. What is
// changed elsewhere reads as zeros.
const places = 1 << 15

// makeFiles makes a sparse volume and the COW store of a thick snapshot that lists every
// hundredth of its chunks, in random order, as a busy origin leaves it. The old content in
// the store is a hole. The file "empty" is a store that lists nothing.
func makeFiles(dir string, size, chunk int64) error {
	volume, err := os.Create(filepath.Join(dir, "volume"))
	if err != nil {
		return err
	}
	defer volume.Close()
	err = volume.Truncate(size)
	if errors.Is(err, syscall.EFBIG) {
		size -= 4096 // ext4 has no file of 16 TiB
		log.Printf("the file system's limit: %d bytes", size)
		err = volume.Truncate(size)
	}
	if err != nil {
		return err
	}
	n := changes(size, chunk)
	text := newText()
	buf := make([]byte, chunk)
	apart := changes(16384*gib, chunk) / places
	for k := int64(0); k < n; k += apart {
		text.read(buf, k*chunk)
		if _, err := volume.WriteAt(buf, k*every*chunk); err != nil {
			return err
		}
	}
	if err := cowstore.Create(filepath.Join(dir, "empty"), chunk, nil, nil); err != nil {
		return err
	}
	changed := make([]int64, n)
	for k := range changed {
		changed[k] = int64(k) * every
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(changed), func(i, j int) { changed[i], changed[j] = changed[j], changed[i] })
	if err := cowstore.Create(filepath.Join(dir, "store"), chunk, changed, nil); err != nil {
		return err
	}
	return volume.Sync() // nothing is to be written back while it's measured
}

// changes is how many chunks of a volume have changed: whole ones.
func changes(size, chunk int64) int64 { return size / chunk / every }

// text is made of words, some more often than others, which compress by half like text and
// binaries do.
type text []byte

// newText makes more text than two segments have, so that none has any of it twice.
func newText() text {
	rnd := rand.New(rand.NewPCG(3, 4))
	words := make([]string, 4096)
	for i := range words {
		words[i] = strconv.FormatUint(rnd.Uint64(), 36)[:2+rnd.IntN(8)]
	}
	t := make(text, 0, 4<<20+16)
	for len(t) < 4<<20 {
		t = append(append(t, words[int(float64(len(words))*rnd.Float64()*rnd.Float64())]...), ' ')
	}
	return t[:4<<20]
}

// read makes what lies at a place of the changed bytes, side by side: the text, over and
// over, and the place in each 4096 bytes.
func (t text) read(p []byte, off int64) {
	for n := 0; n < len(p); {
		n += copy(p[n:], t[(off+int64(n))%int64(len(t)):])
	}
	for at := 0; at+8 <= len(p); at += 4096 {
		binary.LittleEndian.PutUint64(p[at:], uint64(off)+uint64(at)+1)
	}
}
