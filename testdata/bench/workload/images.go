package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// material is what files of this machine hold, in the order of their names: text and
// binaries as they are.
func material(want int) ([]byte, error) {
	b := make([]byte, 0, want)
	for _, dir := range []string{"/usr/bin", "/usr/lib/x86_64-linux-gnu",
		"/usr/share/doc", "/usr/lib"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil // what can't be read is left out
			}
			if len(b) == want {
				return fs.SkipAll
			}
			if f, err := os.Open(path); err == nil {
				n, _ := io.ReadFull(f, b[len(b):want])
				b = b[:len(b)+n]
				f.Close()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(b) < 16<<20 {
		return nil, errors.New("this machine has too few files")
	}
	return b, nil
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

// newMaker makes for an image of some size. A part has a seed of its own, so that it is the
// same whatever else is made.
func newMaker(seed string, size int64) (*maker, error) {
	text, err := material(int(min(512<<20, max(64<<20, size/4))))
	if err != nil {
		return nil, err
	}
	noise := rand.NewChaCha8(sha256.Sum256([]byte(seed)))
	return &maker{rand.New(noise), noise, text}, nil
}

// The parts of a workload. All but the first need those before them that they name.
var parts = map[string]func(m *maker, in folder, size int64) error{
	// old.img, the volume as it was.
	"old": func(m *maker, in folder, size int64) error {
		return m.image(in.path("old.img"), size)
	},
	// new-5.img, where 5% have changed since old.img, and its COW stores.
	"5": func(m *maker, in folder, size int64) error {
		return m.changed(in, "5", m.clusters(size, size/20), 4, 64, 512)
	},
	// new-05.img, where 0.5% have changed since old.img, and its COW store.
	"05": func(m *maker, in folder, size int64) error {
		return m.changed(in, "05", m.clusters(size, size/200), 4)
	},
	// A COW store that lists every other block of a part of new-5.img.
	"tiny": func(m *maker, in folder, size int64) error {
		var other []extent
		for off := int64(0); off < size/16; off += 2 * block {
			other = append(other, extent{off, block})
		}
		return m.listed(in, "tiny", "new-5.img", "old.img", other, 4)
	},
	// A COW store that lists one run of 5% of new-5.img.
	"huge": func(m *maker, in folder, size int64) error {
		return m.listed(in, "huge", "new-5.img", "old.img",
			[]extent{{size / 3 / block * block, size / 20 / block * block}}, 4)
	},
	// noise.img, half as large and incompressible, and a COW store that lists 5% of it.
	"noise": func(m *maker, in folder, size int64) error {
		size /= 2
		f, err := os.Create(in.path("noise.img"))
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.CopyN(f, m.noise, size); err != nil {
			return err
		}
		return m.listed(in, "noise", "noise.img", "noise.img", m.clusters(size, size/20), 4)
	},
	// half.img, new-5.img with holes in half of it.
	"half": func(m *maker, in folder, size int64) error {
		return m.halve(in.path("new-5.img"), in.path("half.img"), size)
	},
}

func makeParts(dir string, size int64, names []string) error {
	for _, name := range names {
		part, ok := parts[name]
		if !ok {
			return fmt.Errorf("no part %q", name)
		}
		m, err := newMaker(name, size)
		if err != nil {
			return err
		}
		if err := part(m, folder(dir), size); err != nil {
			return err
		}
	}
	return nil
}

type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

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
		if last := len(list) - 1; c && last >= 0 &&
			list[last].off+list[last].len == int64(i)*block {
			list[last].len += block
		} else if c {
			list = append(list, extent{int64(i) * block, block})
		}
	}
	return list
}

// changed makes new-NAME.img, which differs from old.img in list, and what belongs to it.
func (m *maker) changed(in folder, name string, list []extent, chunks ...int64) error {
	image := "new-" + name + ".img"
	if err := copyFile(in.path("old.img"), in.path(image)); err != nil {
		return err
	}
	if err := m.overwrite(in.path(image), list); err != nil {
		return err
	}
	return m.listed(in, name, image, "old.img", list, chunks...)
}

// overwrite makes new content for the extents of an image.
func (m *maker) overwrite(path string, list []extent) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, e := range pieces(list) {
		b := make([]byte, e.len)
		m.run(b)
		if _, err := f.WriteAt(b, e.off); err != nil {
			return err
		}
	}
	return nil
}

// listed makes what goes with an image of which list counts as changed: the list, the
// bytes side by side, and COW stores with chunks of so many KiB that keep what held holds.
func (m *maker) listed(in folder, name, image, held string, list []extent, chunks ...int64) error {
	if err := writeList(in.path("extents-"+name), in.path("bytes-"+name), in.path(image),
		pieces(list)); err != nil {
		return err
	}
	for _, kib := range chunks {
		store := in.path(fmt.Sprintf("cow-%s-%dk.img", name, kib))
		if err := m.store(store, in.path(held), kib<<10, list); err != nil {
			return err
		}
	}
	return nil
}

// halve copies every other stretch of an image, of 64 KiB to 64 MiB, and leaves holes between.
func (m *maker) halve(from, to string, size int64) error {
	return transform(from, to, func(in, out *os.File) error {
		for off := int64(0); off < size; {
			n := int64(64<<10) << m.rnd.IntN(11)
			if _, err := io.Copy(io.NewOffsetWriter(out, off),
				io.NewSectionReader(in, off, n)); err != nil {
				return err
			}
			off += 2 * n
		}
		return out.Truncate(size)
	})
}

// generation changes 1% of an image in place.
func generation(number, image string) error {
	info, err := os.Stat(image)
	if err != nil {
		return err
	}
	m, err := newMaker("generation "+number, info.Size()/100)
	if err != nil {
		return err
	}
	return m.overwrite(image, m.clusters(info.Size(), info.Size()/100))
}

func copyFile(from, to string) error {
	return transform(from, to, func(in, out *os.File) error {
		_, err := io.Copy(out, in)
		return err
	})
}

// transform makes a new file from another one.
func transform(from, to string, do func(in, out *os.File) error) error {
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
	return do(in, out)
}
