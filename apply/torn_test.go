package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lvmsync/format"
)

// An endless undo patch lacks its end, as if the machine had died when all of it was
// durable and all that it saves was overwritten.
type endless struct {
	base, now []byte
	patch     []byte
	segments  []format.IndexEntry
}

func newEndless(t *testing.T, size int) endless {
	t.Helper()
	quickDir(t)
	base, now := random(1, size), random(2, size)
	undo, path := undoOf(t, base, now)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	f, err := format.OpenFile(bytes.NewReader(undo), int64(len(undo)))
	if err != nil {
		t.Fatal(err)
	}
	end := len(undo) - 72 - (8 + 16 + 24*len(f.Index()) + 8) // docs/format.md: trailer and index
	return endless{base, now, undo[:end], f.Index()}
}

// flipped is the patch with a bit changed that many bytes behind the start of a segment.
func (e endless) flipped(segment, behind int) []byte {
	b := slices.Clone(e.patch)
	b[e.segments[segment].Offset+int64(behind)] ^= 0x04
	return b
}

// without is what the volume holds if all but one segment has been taken back.
func (e endless) without(segment int) []byte {
	b := slices.Clone(e.base)
	s := e.segments[segment]
	copy(b[s.Start:s.End], e.now[s.Start:])
	return b
}

// inSegment are places of a bit that has flipped, in bytes from the start of a segment.
var inSegment = map[string]int{"magic": 0, "frame header": 4, "size of the content": 6,
	"block header": 10, "table": 20, "data": 400_000}

// A bit that has flipped in an undo patch without its end is no torn end, where that can
// be told: from the file alone, if more is whole behind it than can be unfinished.
func TestDamagedUndo(t *testing.T) {
	e := newEndless(t, maxUndoUnsafe+8*mib)
	for name, behind := range inSegment {
		t.Run(name, func(t *testing.T) {
			bad := e.flipped(2, behind)
			_, _, err := verify(t, bytes.NewReader(bad))
			wantDamaged(t, err, e.segments[2].Offset, len(bad),
				"whole segments hold more than the 41943040 bytes")

			path := image(t, quickDir(t), e.now)
			for _, dry := range []bool{true, false} {
				r := newRun(path)
				r.DryRun = dry
				r.do(t.Context(), bytes.NewReader(bad)).wantError(t, format.ErrCorrupt,
					"a crash can't have left it so")
			}
			wantContent(t, path, e.now)

			r := apply(t, path, bytes.NewReader(bad), func(o *Options) { o.Force = true })
			missing := e.segments[3].Offset - e.segments[2].Offset
			r.wantWarning(t, fmt.Sprintf(
				"takes back what is whole of it only; %d bytes of it are not understood", missing))
			wantContent(t, path, e.without(2))
		})
	}
}

// wantDamaged wants the error of an undo patch that was damaged at a place.
func wantDamaged(t *testing.T, err error, from int64, size int, reason string) {
	t.Helper()
	var damaged *DamagedUndoError
	if !errors.As(err, &damaged) || !errors.Is(err, format.ErrCorrupt) ||
		strings.Contains(err.Error(), "\n") {
		t.Fatalf("error %v", err)
	}
	if damaged.From != from || damaged.Left != int64(size)-from ||
		!strings.Contains(damaged.Reason, reason) {
		t.Errorf("%+v, want damage at %d of %d, %s", damaged, from, size, reason)
	}
}

// In a shorter one only the destination tells: where that has been overwritten, all that
// comes before in the undo patch was durable.
func TestDamagedUndoOfDestination(t *testing.T) {
	e := newEndless(t, 4*mib)
	const at = 1
	for name, behind := range inSegment {
		t.Run(name, func(t *testing.T) {
			bad := e.flipped(at, behind)
			torn := fmt.Sprintf("; %d bytes at its end are not understood",
				int64(len(bad))-e.segments[at].Offset)
			v, warnings, err := verify(t, bytes.NewReader(bad))
			if err != nil || !v[0].NoEnd || v[0].Torn != int64(len(bad))-e.segments[at].Offset ||
				len(warnings) != 1 || !strings.Contains(warnings[0], torn) {
				t.Errorf("%+v, %v, %q", v, err, warnings)
			}
			path := image(t, quickDir(t), e.now)
			for _, dry := range []bool{true, false} {
				r := newRun(path)
				r.DryRun = dry
				r.do(t.Context(), bytes.NewReader(bad))
				wantDamaged(t, r.err, e.segments[at].Offset, len(bad),
					fmt.Sprintf("a whole segment holds what byte %d of the volume has been "+
						"overwritten since", e.segments[at+1].Start))
			}
			wantContent(t, path, e.now)

			// Nothing behind it was overwritten: it may be torn.
			before := slices.Clone(e.now)
			copy(before[e.segments[at].Start:], e.base[e.segments[at].Start:])
			path = image(t, quickDir(t), before)
			apply(t, path, bytes.NewReader(bad)).wantWarning(t, torn)
			wantContent(t, path, e.base)
		})
	}
	last := len(e.segments) - 1
	r := apply(t, image(t, quickDir(t), e.now), bytes.NewReader(e.flipped(last, 1000)))
	r.wantWarning(t, fmt.Sprintf("; %d bytes at its end are not understood",
		int64(len(e.patch))-e.segments[last].Offset))
	wantContent(t, r.Destination, e.without(last))
}

// A trailer that the machine died while writing is no damage: all else was durable by then. Damage
// to something else is, whatever the trailer.
func TestTornTrailer(t *testing.T) {
	quickDir(t)
	base, now := random(1, 2*mib), random(2, 2*mib)
	undo, _ := undoOf(t, base, now)
	for _, zeros := range []int{1, 8, 40, 56} { // its first 16 bytes say what it is
		torn := slices.Clone(undo)
		clear(torn[len(torn)-zeros:])
		torn[len(torn)-zeros] = ^undo[len(undo)-zeros]
		r := apply(t, image(t, quickDir(t), now), bytes.NewReader(torn))
		r.wantWarning(t, "has no end, as if the run that wrote it had been broken off")
		wantContent(t, r.Destination, base)

		torn[300_000] ^= 1
		path := image(t, quickDir(t), now)
		r = newRun(path)
		r.do(t.Context(), bytes.NewReader(torn)).wantError(t, format.ErrCorrupt, "segment")
		wantContent(t, path, now)
	}
}

// One that has its end can't be torn, but what is whole of it can be had, too. Without
// base hashes only what comes before the damage is sure to belong to it.
func TestForcedUndo(t *testing.T) {
	base, now := random(1, 4*mib), random(2, 4*mib)
	undo, path := undoOf(t, base, now)
	f, err := format.OpenFile(bytes.NewReader(undo), int64(len(undo)))
	if err != nil {
		t.Fatal(err)
	}
	e := endless{base, now, undo, f.Index()}
	bad := e.flipped(1, 1000)
	newRun(path).do(t.Context(), bytes.NewReader(bad)).wantError(t,
		format.ErrCorrupt, "segment at byte")
	wantContent(t, path, now)
	apply(t, path, bytes.NewReader(bad), func(o *Options) {
		o.Force = true
	}).wantWarning(t, "is damaged")
	wantContent(t, path, e.without(1))

	path = image(t, t.TempDir(), now)
	r := newRun(path)
	r.Force, r.NoCheckBase = true, true
	if r.do(t.Context(), bytes.NewReader(bad)); r.err != nil || len(r.warnings) != 2 {
		t.Errorf("%v, %q", r.err, r.warnings)
	}
	copy(now, base[:e.segments[1].Start])
	wantContent(t, path, now)

	// No other patch is salvaged.
	vol := manySegments()
	patch, ends := vol.patch(t)
	patch[ends[3]+1000] ^= 1
	r = newRun(image(t, t.TempDir(), garbage(mib)))
	r.Force = true
	r.do(t.Context(), bytes.NewReader(patch)).wantError(t, format.ErrCorrupt, "segment at byte")
}

// The limit of what may be torn, to the byte.
func TestLongestTail(t *testing.T) {
	e := newEndless(t, 4*mib)
	last := len(e.segments) - 1
	from := e.segments[last].Offset
	for extra, damaged := range map[int64]bool{0: false, 1: true} {
		size := from + maxUndoTail + extra
		file := filepath.Join(quickDir(t), "undo")
		if err := errors.Join(os.WriteFile(file, e.patch[:from], 0o600),
			os.Truncate(file, size)); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, warnings, err := verify(t, io.NewSectionReader(f, 0, size))
		if damaged {
			wantDamaged(t, err, from, int(size), "no more than the last 67108864 can be torn")
		} else if err != nil || len(warnings) != 1 ||
			!strings.Contains(warnings[0], "67108864 bytes at its end") {
			t.Errorf("%v, %q", err, warnings)
		}
	}
}
