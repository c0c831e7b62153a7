package mount

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// block is the unit of the volumes here, in bytes.
const block = 4096

// perSegment is how many blocks a segment of their patches has.
const perSegment = 64

// A chain is a folder of patches: a full one and deltas.
type chain struct {
	testing.TB
	dir    string
	rnd    *rand.Rand
	images [][]byte // what the volume held at each time
	last   uuid.UUID
}

// newChain makes a full patch of so many blocks, about half of them zeros in long runs, and
// deltas, each of a tenth of them.
func newChain(t testing.TB, blocks, deltas int) *chain {
	c := &chain{TB: t, dir: t.TempDir(), rnd: rand.New(rand.NewPCG(uint64(blocks), 7))}
	image := make([]byte, blocks*block)
	for at := 0; at < blocks; at += 1 + c.rnd.IntN(200) {
		n := c.rnd.IntN(100)
		c.noise(image[at*block : min(blocks, at+n)*block])
	}
	var all []int
	for i := range blocks {
		all = append(all, i)
	}
	c.write(format.Full, image, all)
	for range deltas {
		image = slices.Clone(image)
		changed := make(map[int]bool)
		for range blocks / 10 {
			changed[c.rnd.IntN(blocks)] = true
		}
		var list []int
		for i := range changed {
			list = append(list, i)
			if b := image[i*block : (i+1)*block]; c.rnd.IntN(4) == 0 {
				clear(b)
			} else {
				c.noise(b)
			}
		}
		slices.Sort(list)
		c.write(format.Delta, image, list)
	}
	return c
}

func (c *chain) noise(b []byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], c.rnd.Uint64())
	}
}

// when is the time of state i.
func when(i int) time.Time { return time.Date(2026, 11, 20, 3, i/60, i%60, 0, time.UTC) }

// write writes the next patch, of those blocks of an image.
func (c *chain) write(kind format.Kind, image []byte, blocks []int) {
	c.Helper()
	n := len(c.images)
	h := format.Header{ID: uuid.New(), Kind: kind, Created: when(n), VolumeSize: int64(len(image)),
		Granularity: 512, RequiredFeatures: []string{format.LostSectors},
		Source: format.Source{VG: "vg", LV: "mail", Path: "/dev/vg/mail"}}
	if kind != format.Full {
		h.Base = &format.Base{Patch: c.last}
	}
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{Level: 1})
	if err != nil {
		c.Fatal(err)
	}
	for part := range slices.Chunk(blocks, perSegment) {
		s := w.NewSegment()
		for _, i := range part {
			b := image[i*block : (i+1)*block]
			r := format.Record{Extent: format.Extent{Off: int64(i) * block, Len: block}}
			if bytes.Count(b, []byte{0}) == block {
				r.Kind, b = format.Zero, nil
			}
			if err := s.Add(r, b); err != nil {
				c.Fatal(err)
			}
		}
		if err := w.Write(s); err != nil {
			c.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(c.path(n), out.Bytes(), 0o600); err != nil {
		c.Fatal(err)
	}
	c.images, c.last = append(c.images, image), h.ID
}

func (c *chain) path(i int) string { return filepath.Join(c.dir, fmt.Sprintf("%05d.lvmpatch", i)) }

// volumes are all states of the folder.
func (c *chain) volumes() (volumes []Volume) {
	c.Helper()
	a, err := archive.Read(c.Context(), c.dir)
	if err != nil {
		c.Fatal(err)
	}
	for _, v := range a.Volumes {
		one := Volume{Name: v.Name}
		for _, p := range v.States() {
			one.States = append(one.States, State{Patch: p})
		}
		volumes = append(volumes, one)
	}
	return volumes
}

// A mounted folder is one that is mounted until the test ends.
type mounted struct {
	testing.TB
	*Mount
	files []string // by their names

	mu       sync.Mutex
	warnings []string
}

// mount mounts the states.
func mount(t testing.TB, volumes []Volume, change ...func(*Options)) *mounted {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root mounts without a program that may not be there")
	}
	m := &mounted{TB: t}
	o := Options{Point: t.TempDir(), Volumes: volumes, Source: "archive", Warn: func(text string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.warnings = append(m.warnings, text)
	}}
	for _, change := range change {
		change(&o)
	}
	var err error
	if m.Mount, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	if m.files, err = filepath.Glob(o.Point + "/*.img"); err != nil {
		t.Fatal(err)
	}
	return m
}

// end unmounts it, whatever still uses it: that gets errors then.
func (m *mounted) end() {
	err := m.Unmount()
	select {
	case <-m.Done():
		return
	case <-time.After(10 * time.Second):
		m.Errorf("still in use: %v, by %v", err, m.Users())
	}
	_ = m.Detach()
	m.abort()
	<-m.Done()
}

// abort ends the connection, as the death of a program does.
func (m *mounted) abort() {
	m.Helper()
	const control = "/sys/fs/fuse/connections"
	path := fmt.Sprintf("%s/%d/abort", control, unix.Minor(m.device))
	if _, err := os.Stat(path); err != nil {
		if err := unix.Mount("fusectl", control, "fusectl", 0, ""); err != nil {
			m.Fatal(err)
		}
		m.Cleanup(func() { _ = unix.Unmount(control, 0) })
	}
	if err := os.WriteFile(path, []byte("1"), 0); err != nil {
		m.Fatal(err)
	}
}

// open opens a file until the test ends.
func (m *mounted) open(i int) *os.File {
	m.Helper()
	f, err := os.Open(m.files[i])
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { f.Close() })
	return f
}

// want makes sure that just these warnings were given, by a part of each.
func (m *mounted) want(parts ...string) {
	m.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	ok := len(m.warnings) == len(parts)
	for i := 0; ok && i < len(parts); i++ {
		ok = strings.Contains(m.warnings[i], parts[i])
	}
	if !ok {
		m.Errorf("warnings %q, want %q", m.warnings, parts)
	}
	m.warnings = nil
}
