package metadata

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/klauspost/compress/zstd"
)

// A captured is a pool of a real kernel (testdata/thin/README.md).
type captured struct {
	Name       string
	ChunkBytes int64 `json:"chunk_bytes"`
	Views      []view
}

type view struct {
	View     string
	HeldRoot bool `json:"held_root"`
	Image    struct{ File string }
	Deltas   []struct {
		From, To string
		FromID   uint32     `json:"from_id"`
		ToID     uint32     `json:"to_id"`
		Changed  [][2]int64 `json:"expected_changed_chunks"`
	}
	Devices []struct {
		Name   string
		ID     uint32 `json:"dev_id"`
		Mapped [][2]int64
		Count  uint64 `json:"mapped_count"`
	}
	image []byte
}

const goldenDir = "../../../testdata/thin"

func capturedPools(t testing.TB) []captured {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(goldenDir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Cases []captured }
	if err := json.Unmarshal(b, &manifest); err != nil || len(manifest.Cases) == 0 {
		t.Fatalf("%d captured pools: %v", len(manifest.Cases), err)
	}
	for i := range manifest.Cases {
		for j := range manifest.Cases[i].Views {
			v := &manifest.Cases[i].Views[j]
			v.image = unpack(t, filepath.Join(goldenDir, v.Image.File))
		}
	}
	return manifest.Cases
}

func unpack(t testing.TB, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := r.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// open opens what the view is about.
func (v view) open(image []byte) (*Metadata, error) {
	m, err := Open(bytes.NewReader(image), int64(len(image)))
	if err != nil || !v.HeldRoot {
		return m, err
	}
	return OpenSnapshot(bytes.NewReader(image), int64(len(image)), m.HeldRoot(), m.super.dataBlocks)
}

// blocks is the set that the manifest lists.
func blocks(runs [][2]int64) *roaring64.Bitmap {
	set := roaring64.New()
	for _, r := range runs {
		set.AddRange(uint64(r[0]), uint64(r[0]+r[1]))
	}
	return set
}

func checkSame(t testing.TB, what string, got *roaring64.Bitmap, runs [][2]int64) {
	t.Helper()
	if differ := roaring64.Xor(got, blocks(runs)); !differ.IsEmpty() {
		t.Errorf("%s: %d blocks are wrong, the first is %d", what,
			differ.GetCardinality(), differ.Minimum())
	}
}

// check compares everything that is expected of a view with what is read. An error
// is returned only if it is one that damage may give.
func (v view) check(t testing.TB, image []byte) error {
	t.Helper()
	m, err := v.open(image)
	if err != nil {
		return err
	}
	for _, d := range v.Devices {
		got, err := m.Mapped(t.Context(), d.ID)
		if err != nil {
			return err
		}
		if d.Mapped == nil { // too many for the manifest
			if n := got.GetCardinality(); n != d.Count {
				t.Errorf("%s maps %d blocks, want %d", d.Name, n, d.Count)
			}
			continue
		}
		checkSame(t, d.Name, got, d.Mapped)
	}
	for _, d := range v.Deltas {
		diff, err := m.Diff(t.Context(), d.FromID, d.ToID)
		if err != nil {
			return err
		}
		got := roaring64.Or(diff.Mapped, diff.Unmapped)
		checkSame(t, d.From+" to "+d.To, got, d.Changed)
		ever, err := m.DiffEver(t.Context(), d.FromID, d.ToID)
		if err != nil {
			return err
		}
		if !roaring64.AndNot(diff.Mapped, ever.Mapped).IsEmpty() ||
			!ever.Unmapped.Equals(diff.Unmapped) {
			t.Errorf("%s to %s: what has changed is not among what may ever have been", d.From,
				d.To)
		}
		if diff.Mapped.Intersects(diff.Unmapped) {
			t.Errorf("%s to %s: blocks are mapped and unmapped at once", d.From, d.To)
		}
	}
	return nil
}

func TestCapturedPools(t *testing.T) {
	for _, c := range capturedPools(t) {
		for _, v := range c.Views {
			t.Run(c.Name+"/"+v.View, func(t *testing.T) {
				if err := v.check(t, v.image); err != nil {
					t.Fatal(err)
				}
				m, err := v.open(v.image)
				if err != nil || int64(m.DataBlockSectors())*512 != c.ChunkBytes {
					t.Errorf("data blocks of %d sectors (%v), want %d bytes",
						m.DataBlockSectors(), err, c.ChunkBytes)
				}
			})
		}
	}
}

// One volume compared with itself, or with a volume that is not there.
func TestDiffOfOne(t *testing.T) {
	v := capturedPools(t)[0].Views[0]
	m, err := v.open(v.image)
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Diff(t.Context(), 1, 1)
	if err != nil || !d.Mapped.IsEmpty() || !d.Unmapped.IsEmpty() {
		t.Errorf("a volume differs from itself: %v %v (%v)", d.Mapped, d.Unmapped, err)
	}
	if _, err := m.Diff(t.Context(), 1, 77); err == nil {
		t.Error("a volume that isn't there has a difference")
	}
	if _, err := m.Mapped(t.Context(), 77); err == nil {
		t.Error("a volume that isn't there maps something")
	}
}

// Of what a leaf says of a block, the number of the pool's block counts to its last bit, and not
// the time. One that the pool doesn't have is damage.
func TestLeafValues(t *testing.T) {
	const dataBlocks = 8
	cursor := func(values ...uint64) *leafCursor {
		keys := make([]uint64, len(values))
		for i := range keys {
			keys[i] = uint64(i)
		}
		m := &Metadata{super: superblock{dataBlocks: dataBlocks}}
		return &leafCursor{m: m, level: &level{subtrees: make([]subtree, 1)}, read: 1,
			window: []*node{{leaf: true, keys: keys, values: values}}}
	}
	for data := range uint64(dataBlocks + 1) {
		for _, time := range []uint64{0, 1, 1<<24 - 1} {
			c := cursor(data<<24 | time)
			err := c.next(t.Context())
			if (err == nil) != (data < dataBlocks) || c.data != data {
				t.Errorf("block %d at time %d: %d, %v", data, time, c.data, err)
			}
		}
	}
}
