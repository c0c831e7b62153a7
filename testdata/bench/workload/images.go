package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// material is what files of this machine hold, in the order of their names: text and
// binaries as they are.
func material(want int) ([]byte, error) {
	var b []byte
	for _, dir := range []string{"/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/share/doc", "/usr/lib"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // what can't be read is left out
			}
			if len(b) >= want {
				return fs.SkipAll
			}
			text, _ := os.ReadFile(path)
			b = append(b, text...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(b) < 16<<20 {
		return nil, errors.New("this machine has too few files")
	}
	return b[:min(len(b), want)], nil
}

// An image is made block by block of runs of material, of noise and of zeros.
type maker struct {
	rnd      *rand.Rand
	noise    *rand.ChaCha8
	material []byte
}

// run makes n bytes: 7 in 10 of material, 2 of noise, 1 of zeros.
func (m *maker) run(b []byte) {
	switch k := m.rnd.IntN(10); {
	case k == 0:
		clear(b)
	case k < 3:
		m.noise.Read(b)
	default:
		at := m.rnd.IntN(len(m.material) - len(b))
		copy(b, m.material[at:])
	}
}

func makeAll(dir string, size int64) error {
	text, err := material(512 << 20)
	if err != nil {
		return err
	}
	noise := rand.NewChaCha8([32]byte{1})
	m := &maker{rand.New(noise), noise, text}
	old := filepath.Join(dir, "old.img")
	if err := m.image(old, size); err != nil {
		return err
	}
	for _, change := range []struct {
		name  string
		bytes int64
	}{{"5", size / 20}, {"05", size / 200}} {
		if err := m.change(dir, change.name, old, size, m.clusters(size, change.bytes)); err != nil {
			return err
		}
	}
	var other []extent // every other block of a part
	for off := int64(0); off < size/16; off += 2 * block {
		other = append(other, extent{off, block})
	}
	return m.change(dir, "tiny", old, size, other)
}

func (m *maker) image(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 4<<20)
	b := make([]byte, 8<<20)
	for left := size; left > 0; {
		n := min(left, int64(64<<10)<<m.rnd.IntN(8))
		m.run(b[:n])
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		left -= n
	}
	return w.Flush()
}

// clusters chooses what changes: runs of 4 KiB to 1 MiB, some n bytes in all.
func (m *maker) clusters(size, n int64) []extent {
	changed := make([]bool, size/block)
	for left := n; left > 0; {
		e := extent{m.rnd.Int64N(size/block) * block, int64(block) << m.rnd.IntN(9)}
		for off := e.off; off < min(e.off+e.len, size) && left > 0; off += block {
			if !changed[off/block] {
				changed[off/block] = true
				left -= block
			}
		}
	}
	var list []extent
	for i, c := range changed {
		if last := len(list) - 1; c && last >= 0 && list[last].off+list[last].len == int64(i)*block {
			list[last].len += block
		} else if c {
			list = append(list, extent{int64(i) * block, block})
		}
	}
	return list
}

// change makes new-NAME.img, its COW stores with chunks of 4, 64 and 512 KiB, the list
// of its extents, and their bytes side by side.
func (m *maker) change(dir, name, old string, size int64, list []extent) error {
	path := func(kind string) string { return filepath.Join(dir, kind) }
	if err := copyFile(old, path("new-"+name+".img")); err != nil {
		return err
	}
	f, err := os.OpenFile(path("new-"+name+".img"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := os.Create(path("bytes-" + name))
	if err != nil {
		return err
	}
	defer data.Close()
	text, err := os.Create(path("extents-" + name))
	if err != nil {
		return err
	}
	defer text.Close()
	w := bufio.NewWriter(text)
	for _, e := range list {
		for e.len > 0 {
			b := make([]byte, min(e.len, 1<<20))
			m.run(b)
			_, err1 := f.WriteAt(b, e.off)
			_, err2 := data.Write(b)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			fmt.Fprintln(w, e.off, len(b))
			e.off, e.len = e.off+int64(len(b)), e.len-int64(len(b))
		}
	}
	for _, kib := range []int64{4, 64, 512} {
		if err := m.store(path(fmt.Sprintf("cow-%s-%dk.img", name, kib)), old, kib<<10, list); err != nil {
			return err
		}
	}
	return w.Flush()
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}

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
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	held := make([]byte, chunk)
	le, b := binary.LittleEndian, make([]byte, chunk)
	for i, field := range []uint32{0x70416e53, 1, 1, uint32(chunk / 512)} {
		le.PutUint32(b[4*i:], field)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	perArea := chunk / 16
	area := int64(0)
	for part := range slices.Chunk(chunks, int(perArea)) {
		clear(b)
		first := 1 + area*(perArea+1)
		for i, c := range part {
			le.PutUint64(b[i*16:], uint64(c))
			le.PutUint64(b[i*16+8:], uint64(first+1+int64(i)))
			if _, err := in.ReadAt(held, c*chunk); err != nil && err != io.EOF {
				return err
			}
			if _, err := f.WriteAt(held, (first+1+int64(i))*chunk); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(b, first*chunk); err != nil {
			return err
		}
		area++
	}
	return f.Truncate((2 + (area+1)*(perArea+1)) * chunk)
}
