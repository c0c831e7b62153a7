package metadata

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// closedPool is the captured pool of that name in its final state.
func closedPool(t testing.TB, name string) view {
	t.Helper()
	for _, c := range capturedPools(t) {
		if c.Name == name {
			return c.Views[slices.IndexFunc(c.Views, func(v view) bool {
				return v.View == "closed"
			})]
		}
	}
	t.Fatalf("no captured pool %s", name)
	return view{}
}

func (v view) id(t testing.TB, name string) uint32 {
	t.Helper()
	for _, d := range v.Devices {
		if d.Name == name {
			return d.ID
		}
	}
	t.Fatalf("no volume %s", name)
	return 0
}

// What was written in a snapshot since it was made is found where both still map it, and nothing
// else.
func TestDiffEver(t *testing.T) {
	for _, tt := range []struct {
		pool, from, to string
		may, written   bool
		alike          []uint64 // blocks that both map alike, written in the first
	}{
		{"written", "s1", "child", true, true, []uint64{3, 25}},
		{"written", "s1", "grandchild", true, true, []uint64{3, 25}},
		{"written", "child", "grandchild", true, true, []uint64{5}},
		{"written", "s1", "sibling", true, true, nil}, // which stems from the same volume
		{"written", "child", "s1", false, true, nil},
		{"written", "s1", "o", false, true, nil},
		{"written", "sibling", "last", false, false, nil}, // has no snapshots
		{"pool128k", "s1", "s1a", true, false, nil},
		{"pool128k", "s1", "s2", true, false, nil},
		{"pool128k", "s1", "o", false, false, nil},
		{"pool128k", "s1a", "o", false, true, nil},
	} {
		t.Run(fmt.Sprintf("%s, %s to %s", tt.pool, tt.from, tt.to), func(t *testing.T) {
			v := closedPool(t, tt.pool)
			m, err := v.open(v.image)
			if err != nil {
				t.Fatal(err)
			}
			from, to := v.id(t, tt.from), v.id(t, tt.to)
			if may, err := m.MayDescend(t.Context(), to, from); err != nil || may != tt.may {
				t.Errorf("may descend: %v, want %v (%v)", may, tt.may, err)
			}
			d, err := m.Diff(t.Context(), from, to)
			if err != nil {
				t.Fatal(err)
			}
			ever, err := m.DiffEver(t.Context(), from, to)
			if err != nil {
				t.Fatal(err)
			}
			if !ever.Unmapped.Equals(d.Unmapped) || ever.Written != tt.written || d.Written {
				t.Errorf("unmapped: %v, want %v; written: %v", ever.Unmapped,
					d.Unmapped, ever.Written)
			}
			if alike := roaring64.AndNot(ever.Mapped, d.Mapped).ToArray(); !slices.Equal(alike,
				tt.alike) || !roaring64.AndNot(d.Mapped, ever.Mapped).IsEmpty() {
				t.Errorf("written and mapped alike: %v, want %v", alike, tt.alike)
			}
		})
	}
}

// Where times can't be those of the kernel, everything may have been written, and any volume may
// stem from any other.
func TestStrangeTimes(t *testing.T) {
	for name, change := range map[string]func(v view, m *Metadata){
		"made at no time":             func(v view, m *Metadata) { v.putTimes(t, m, 0, 0) },
		"made later than now":         func(v view, m *Metadata) { v.putTimes(t, m, 1000, 1000) },
		"snapshot before it was made": func(v view, m *Metadata) { v.putTimes(t, m, 2, 1) },
		"too many snapshots": func(v view, _ *Metadata) {
			b := v.image[:BlockSize]
			le.PutUint32(b[44:], maxTime)
			le.PutUint32(b, checksum(b, superblockSalt))
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := closedPool(t, "pool128k")
			m, err := v.open(v.image)
			if err != nil {
				t.Fatal(err)
			}
			change(v, m)
			if m, err = v.open(v.image); err != nil {
				t.Fatal(err)
			}
			from, to := v.id(t, "s1"), v.id(t, "s1a")
			if may, err := m.MayDescend(t.Context(), to, from); err != nil || !may {
				t.Errorf("may descend: %v (%v)", may, err)
			}
			all, err := m.Mapped(t.Context(), to)
			if err != nil {
				t.Fatal(err)
			}
			if d, err := m.DiffEver(t.Context(), from, to); err != nil ||
				!d.Mapped.Equals(all) || !d.Written {
				t.Errorf("changed: %v, want all of %v (%v)", d.Mapped, all, err)
			}
		})
	}
}

// putTimes changes when s1 was made, and its last snapshot.
func (v view) putTimes(t testing.TB, m *Metadata, created, snapshotted uint32) {
	t.Helper()
	b := v.image[m.super.detailsRoot*BlockSize:][:BlockSize]
	n, err := parseNode(b, detailsValue)
	if err != nil || !n.leaf {
		t.Fatal("details are not in one leaf", err)
	}
	i, _ := n.find(uint64(v.id(t, "s1")))
	at := nodeHeader + int(le.Uint32(b[20:]))*keySize + i*detailsValue.size + detailsValue.word
	le.PutUint32(b[at:], created)
	le.PutUint32(b[at+4:], snapshotted)
	le.PutUint32(b, checksum(b, nodeSalt))
}

// What is noted of volumes is found in a tree of several levels, and a volume that isn't there is
// none.
func TestDetails(t *testing.T) {
	v := closedPool(t, "written")
	m, err := v.open(v.image)
	if err != nil {
		t.Fatal(err)
	}
	for id := uint32(100); id < 240; id++ {
		if d, trusted, err := m.details(t.Context(), id); err != nil || !trusted ||
			d != (details{created: id - 95, snapshotted: id - 95}) {
			t.Fatalf("volume %d: %+v, trusted %v (%v)", id, d, trusted, err)
		}
	}
	if _, _, err := m.details(t.Context(), 99); !errors.Is(err, ErrNoVolume) {
		t.Errorf("a volume that isn't there: %v", err)
	}
}
