package prune

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/volume"
)

const block, blocks = 4096, 8

// A night is a state of the volume that a snapshot keeps.
type night struct {
	snapshot string
	made     time.Time
	data     []byte
}

// A history is a folder of patches, and what they lead to.
type history struct {
	dir    string
	first  []byte // what deltas start from where there is no full patch
	states map[string][]byte
	now    time.Time
}

// newHistory makes up a folder: full patches, deltas, forks, a volume that grows, some that lack.
func newHistory(t *testing.T, rnd *rand.Rand) *history {
	h := &history{dir: t.TempDir(), states: make(map[string][]byte)}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	data := make([]byte, block*blocks)
	whole := rnd.IntN(4) > 0
	var nights []*night
	for i := range 2 + rnd.IntN(11) {
		at = at.Add(time.Duration(1+rnd.IntN(48)) * time.Hour)
		for range rnd.IntN(5) {
			data[rnd.IntN(len(data))] = byte(rnd.Uint32())
		}
		if rnd.IntN(8) == 0 {
			data = append(data, bytes.Repeat([]byte{byte(i)}, block)...)
		}
		n := &night{uuid.NewString(), at, bytes.Clone(data)}
		h.states["volume "+n.snapshot] = n.data
		var from *night
		if len(nights) > 0 && (!whole || rnd.IntN(6) > 0) {
			from = nights[max(0, len(nights)-1-rnd.IntN(2)*rnd.IntN(3))]
		}
		nights = append(nights, n)
		if i == 0 && !whole {
			h.first = n.data
			continue
		}
		if i == 0 || rnd.IntN(20) > 0 {
			writePatch(t, filepath.Join(h.dir, fmt.Sprintf("%02d.lvmpatch", i)), from, n)
		}
	}
	h.now = at.Add(time.Hour)
	return h
}

// writePatch writes the patch that leads from one night to another; from none it is full.
func writePatch(t *testing.T, path string, from, to *night) {
	t.Helper()
	h := format.Header{ID: uuid.New(), Kind: format.Full, Created: to.made.Add(time.Minute),
		VolumeSize: int64(len(to.data)), Granularity: block,
		Source: format.Source{Type: "thick", LVUUID: "volume"},
		State:  &format.State{Snapshot: to.snapshot, SnapshotCreated: to.made}}
	if from != nil {
		h.Kind = format.Delta
		h.Base = &format.Base{Snapshot: from.snapshot, SnapshotCreated: from.made}
	}
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	for off := 0; off < len(to.data); off += block {
		b := to.data[off : off+block]
		if from == nil || off >= len(from.data) || !bytes.Equal(b, from.data[off:off+block]) {
			s.Records = append(s.Records, format.Record{
				Extent: format.Extent{Off: int64(off), Len: block}})
			s.Data = append(s.Data, b...)
		}
	}
	if len(s.Records) > 0 {
		err = w.Write(s)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(path, out.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// copied is the history in a folder of its own.
func (h *history) copied(t *testing.T) *history {
	c := *h
	c.dir = t.TempDir()
	if err := os.CopyFS(c.dir, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	return &c
}

// files are the names in the folder, but for what a killed program leaves, which is hidden.
func (h *history) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names
}

// has wants all states to be as they were, read as anybody would.
func (h *history) has(t *testing.T, what string, states []string) {
	t.Helper()
	a, err := archive.Read(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]*archive.Patch)
	for _, v := range a.Volumes {
		for _, c := range v.Chains {
			for _, p := range c.Patches {
				if q := found[p.State()]; q == nil || p.Restorable() && !q.Restorable() {
					found[p.State()] = p
				}
			}
		}
	}
	for _, state := range states {
		p := found[state]
		if p == nil {
			t.Fatalf("%s: nothing leads to %s", what, state)
		}
		if got := h.read(t, p); !bytes.Equal(got, h.states[state]) {
			t.Fatalf("%s: %s leads elsewhere", what, p.Path)
		}
	}
}

// read reads the state that a patch leads to.
func (h *history) read(t *testing.T, p *archive.Patch) []byte {
	t.Helper()
	o := volume.Options{}
	if !p.Restorable() {
		o.Base, o.BaseSize = bytes.NewReader(h.first), int64(len(h.first))
	}
	v, files, err := p.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	defer v.Close()
	b, err := io.ReadAll(io.NewSectionReader(v, 0, v.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
