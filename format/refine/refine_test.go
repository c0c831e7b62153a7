package refine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format"
)

// refined is what Runs yields.
type refined struct {
	Extent format.Extent
	Data   []byte
}

// runsModel does what Runs does, a byte at a time: a byte belongs to the block
// of the volume that it lies in, and what a block is, each of its bytes is.
func runsModel(off int64, data, base []byte) (want []refined) {
	type verdict struct{ differs, nonzero bool }
	blocks := make(map[int64]verdict)
	for i, b := range data {
		block := (off + int64(i)) / BlockSize
		v := blocks[block]
		v.differs = v.differs || base == nil || b != base[i]
		v.nonzero = v.nonzero || b != 0
		blocks[block] = v
	}
	for i, b := range data {
		at := off + int64(i)
		v := blocks[at/BlockSize]
		if !v.differs {
			continue
		}
		kind := format.Zero
		if v.nonzero {
			kind = format.Data
		}
		last := len(want) - 1
		if last < 0 || want[last].Extent.End() != at || want[last].Extent.Kind != kind {
			want = append(want, refined{Extent: format.Extent{Off: at, Kind: kind}})
			last++
		}
		want[last].Extent.Len++
		if kind == format.Data {
			want[last].Data = append(want[last].Data, b)
		}
	}
	return want
}

// wantRefined compares extents and data. cmp alone is slow with long data.
func wantRefined(t *testing.T, want, got []refined) {
	t.Helper()
	same := func(a, b refined) bool {
		return a.Extent == b.Extent && (a.Data == nil) == (b.Data == nil) &&
			bytes.Equal(a.Data, b.Data)
	}
	if !slices.EqualFunc(want, got, same) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
}

func allRuns(off int64, data, base []byte) (got []refined) {
	for e, d := range Runs(off, data, base) {
		got = append(got, refined{e, d})
	}
	return got
}

// randomBlocks makes up n bytes of a volume from off on, and a base of them, block
// by block: equal or not, zeros or not, or but for one byte.
func randomBlocks(rnd *rand.Rand, off int64, n int) (data, base []byte) {
	data, base = make([]byte, n), make([]byte, n)
	for at := 0; at < n; {
		end := min(n, at+BlockSize-int(off+int64(at))%BlockSize)
		d, b := data[at:end], base[at:end]
		if rnd.IntN(3) > 0 {
			copy(d, bytes.Repeat([]byte{byte(1 + rnd.IntN(3))}, len(d)))
		}
		switch rnd.IntN(4) {
		case 0, 1:
			copy(b, d)
		case 2:
			copy(b, bytes.Repeat([]byte{4}, len(b)))
		}
		if rnd.IntN(4) == 0 {
			d[rnd.IntN(len(d))] ^= 8
		}
		at = end
	}
	return data, base
}

// forSeeds runs a test with some seeds, and names the one that it fails with.
func forSeeds(t *testing.T, n uint64, test func(*testing.T, *rand.Rand)) {
	t.Helper()
	for seed := range n {
		if !t.Run(fmt.Sprintf("seed %d",
			seed), func(t *testing.T) { test(t, rand.New(rand.NewPCG(seed, 0))) }) {
			return
		}
	}
}

func TestRuns(t *testing.T) {
	forSeeds(t, 300, func(t *testing.T, rnd *rand.Rand) {
		off := rnd.Int64N(3 * BlockSize)
		if rnd.IntN(2) == 0 {
			off = 1<<40 + off/format.SectorSize*format.SectorSize
		}
		data, base := randomBlocks(rnd, off, rnd.IntN(8*BlockSize))
		for name, base := range map[string][]byte{"with a base": base, "without a base": nil} {
			wantRefined(t, runsModel(off, data, base), allRuns(off, data, base))
			if t.Failed() {
				t.Fatalf("%d bytes from %d on, %s", len(data), off, name)
			}
		}
	})
}

func TestRunsNothing(t *testing.T) {
	if got := allRuns(512, nil, nil); got != nil {
		t.Errorf("nothing gives %v", got)
	}
	if got := allRuns(512, []byte{}, []byte{}); got != nil {
		t.Errorf("nothing with a base gives %v", got)
	}
	data := bytes.Repeat([]byte{1}, 2*BlockSize)
	if got := allRuns(512, data, bytes.Clone(data)); got != nil {
		t.Errorf("equal data give %v", got)
	}
}

// Data come as a part of what was handed in, not as a copy.
func TestRunsAliases(t *testing.T) {
	data := bytes.Repeat([]byte{1}, 2*BlockSize)
	for e, d := range Runs(BlockSize-512, data,
		append(bytes.Repeat([]byte{1}, 512), make([]byte, 2*BlockSize-512)...)) {
		if e.Off != BlockSize || &d[0] != &data[512] {
			t.Errorf("%v is a copy, or begins elsewhere", e)
		}
	}
}

// Whoever has seen enough may break off, wherever that is.
func TestRunsBreak(t *testing.T) {
	forSeeds(t, 50, func(t *testing.T, rnd *rand.Rand) {
		data, base := randomBlocks(rnd, 0, 12*BlockSize)
		all := allRuns(0, data, base)
		for n := range all {
			var got []refined
			for e, d := range Runs(0, data, base) { // panics if it went on after the break
				got = append(got, refined{e, d})
				if len(got) == n+1 {
					break
				}
			}
			wantRefined(t, all[:n+1], got)
		}
	})
}
