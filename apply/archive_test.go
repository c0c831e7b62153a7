package apply_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/apply"
	"lvmsync/format"
	"lvmsync/format/archive"
)

const archiveBlock, archiveBlocks = 4096, 16

// A night is a state of the volume that a snapshot keeps.
type night struct {
	snapshot string
	made     time.Time
	data     []byte
}

// archived writes the patch that leads from one night to another; from none it is full.
func archived(t *testing.T, file string, made time.Time, from, to *night) {
	t.Helper()
	h := format.Header{ID: uuid.New(), Kind: format.Full, Created: made,
		VolumeSize: int64(len(to.data)), Granularity: archiveBlock,
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
	for off := 0; off < len(to.data); off += archiveBlock {
		b := to.data[off : off+archiveBlock]
		if from == nil || off >= len(from.data) || !bytes.Equal(b, from.data[off:off+archiveBlock]) {
			s.Records = append(s.Records, format.Record{
				Extent: format.Extent{Off: int64(off), Len: archiveBlock}})
			s.Data = append(s.Data, b...)
		}
	}
	if len(s.Records) > 0 {
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The chain that an archive gives for a state is taken by apply, and gives that state, whatever the
// history: full patches, deltas, forks, some lost.
func TestArchive(t *testing.T) {
	restored := 0
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		dir := t.TempDir()
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		data := make([]byte, archiveBlock*archiveBlocks)
		want := make(map[string][]byte)
		var nights []*night
		for i := range 2 + rnd.IntN(12) {
			at = at.Add(time.Duration(1+rnd.IntN(48)) * time.Hour)
			for range rnd.IntN(5) {
				data[rnd.IntN(len(data))] = byte(rnd.Uint32())
			}
			if rnd.IntN(8) == 0 { // it grows
				data = append(data, bytes.Repeat([]byte{byte(i)}, archiveBlock)...)
			}
			n := &night{uuid.NewString(), at, bytes.Clone(data)}
			want["volume "+n.snapshot] = n.data
			var from *night
			if len(nights) > 0 && rnd.IntN(5) > 0 {
				from = nights[max(0, len(nights)-1-rnd.IntN(3))]
			}
			nights = append(nights, n)
			if rnd.IntN(10) > 0 {
				name := filepath.Join(dir, fmt.Sprintf("%x.lvmpatch", rnd.Uint64()))
				archived(t, name, at.Add(time.Minute), from, n)
			}
		}
		a, err := archive.Read(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range a.Volumes {
			for i, p := range v.States() {
				if p.InDoubt() {
					continue // apply would warn
				}
				image := filepath.Join(dir, fmt.Sprint("image", i))
				restore(t, image, p.Chain())
				got, err := os.ReadFile(image)
				if err != nil || !bytes.Equal(got, want[p.State()]) {
					t.Fatalf("seed %d: %s is not what the volume was: %v", seed, p.State(), err)
				}
				restored++
			}
		}
	}
	if restored < 40 {
		t.Errorf("%d states were restored only", restored)
	}
}

// restore applies a chain to a new image. Nothing may speak against it.
func restore(t *testing.T, image string, chain []*archive.Patch) {
	t.Helper()
	var patches []apply.Patch
	for _, p := range chain {
		f, err := os.Open(p.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		patches = append(patches, apply.Patch{Name: p.Path, Reader: f})
	}
	_, err := apply.Run(t.Context(), patches, apply.Options{Destination: image, Create: true,
		Warn: func(m string) { t.Errorf("warned of: %s", m) }})
	if err != nil {
		t.Fatal(err)
	}
}
