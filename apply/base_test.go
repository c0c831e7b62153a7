package apply

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/storage/devtest"
)

// random is size bytes without a zero.
func random(seed byte, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	for i := range b {
		b[i] |= 1
	}
	return b
}

// blocks is the size of n blocks in bytes.
func blocks(n int) int { return n * refine.BlockSize }

// exactPatch makes a patch as a dump with an exact base does: block by block, what differs.
func exactPatch(t testing.TB, base, now []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, format.Header{ID: uuid.New(), Kind: format.Delta,
		Created: time.Now().UTC(), VolumeSize: int64(len(now)), Granularity: refine.BlockSize,
		Base: &format.Base{Exact: true}}, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const step = 2 * mib
	for off := 0; off < len(now); off += step {
		end := min(off+step, len(now))
		s := w.NewSegment()
		for e, d := range refine.Blocks(int64(off), now[off:end], base[off:end], refine.BlockSize) {
			s.Records = append(s.Records, format.Record{Extent: e, HasBase: true,
				BaseHash: xxhash.Sum64(base[e.Off:e.End()])})
			s.Data = append(s.Data, d...)
		}
		if len(s.Records) == 0 {
			s.Release()
		} else if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// changed is a copy of a volume with other data in blocks [from, to).
func changed(volume []byte, seed byte, from, to int) []byte {
	b := slices.Clone(volume)
	copy(b[blocks(from):blocks(to)], random(seed, blocks(to-from)))
	return b
}

// Two exact deltas of one snapshot: the second leaves out what is as it was again, and does not fit
// where the first has been applied.
func TestExactTwice(t *testing.T) {
	base := random(1, 4*mib)
	first := changed(changed(base, 2, 0, 16), 3, 100, 101)
	second := changed(first, 4, 8, 16)
	copy(second[blocks(100):blocks(101)], base[blocks(100):])
	path := image(t, t.TempDir(), base)
	apply(t, path, bytes.NewReader(exactPatch(t, base, first)))
	newRun(path).do(t.Context(), bytes.NewReader(exactPatch(t, base, second))).wantError(t,
		ErrWrongBase, "8 extents hold something else")
	wantContent(t, path, first)
}

// A destination that has got somewhere on the way from base to result, block by block, is
// completed.
func TestExactResumed(t *testing.T) {
	base := random(1, 4*mib)
	now := changed(changed(base, 2, 0, 16), 3, 600, 640)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		mixed := slices.Clone(base)
		for i := range len(base) / refine.BlockSize {
			if rnd.IntN(2) == 0 {
				copy(mixed[blocks(i):blocks(i+1)], now[blocks(i):])
			}
		}
		path := image(t, t.TempDir(), mixed)
		apply(t, path, bytes.NewReader(exactPatch(t, base, now)))
		wantContent(t, path, now)
	}
}

// A chain of which the first patches were applied before.
func TestChainAppliedInPart(t *testing.T) {
	base := random(1, 4*mib)
	states := [][]byte{base, changed(base, 2, 0, 4)}
	states = append(states, changed(states[1], 3, 0, 4), changed(states[1], 4, 2, 9))
	for i, state := range states {
		var patches []Patch
		for i := range states[1:] {
			patches = append(patches, Patch{Name: string(rune('a' + i)),
				Reader: bytes.NewReader(exactPatch(t, states[i], states[i+1]))})
		}
		path := image(t, t.TempDir(), state)
		r := newRun(path)
		if r.doAll(t.Context(), patches); r.err != nil {
			t.Errorf("onto state %d: %v", i, r.err)
		}
		wantContent(t, path, states[len(states)-1])
	}
}

// undoOf applies a patch and returns the undo patch of that.
func undoOf(t *testing.T, base, now []byte) (undo []byte, path string) {
	t.Helper()
	dir := t.TempDir()
	path, name := image(t, dir, base), filepath.Join(dir, "undo")
	apply(t, path, bytes.NewReader(exactPatch(t, base, now)), func(o *Options) { o.Undo = name })
	undo, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return undo, path
}

// An undo patch without its end is used if it is a file that a crash left behind, not if it's
// damaged or the rest was lost on the way.
func TestUnfinishedUndo(t *testing.T) {
	base, now := random(1, 12*mib), random(2, 12*mib)
	undo, path := undoOf(t, base, now)
	f, err := format.OpenFile(bytes.NewReader(undo), int64(len(undo)))
	if err != nil {
		t.Fatal(err)
	}
	last := f.Index()[len(f.Index())-1].Offset

	damaged := slices.Clone(undo)
	damaged[f.Index()[1].Offset+1000] ^= 1
	newRun(path).do(t.Context(), bytes.NewReader(damaged)).wantError(t,
		format.ErrCorrupt, "segment at byte")
	wantContent(t, path, now)
	r := newRun(path)
	r.SpoolDir = t.TempDir()
	r.do(t.Context(), pipe(undo[:len(undo)/2])).wantError(t, format.ErrTruncated, "")
	wantContent(t, path, now)

	torn := slices.Clone(undo)
	clear(torn[len(torn)-72-20:])
	redo := exactPatch(t, base, now)
	for name, crashed := range map[string][]byte{
		"cut between segments": undo[:last],
		"torn index":           torn,
		"torn segment":         append(slices.Clone(undo[:last+100]), make([]byte, 1*mib)...),
	} {
		t.Run(name, func(t *testing.T) {
			// What the missing segments hold was not overwritten yet.
			dest := slices.Clone(now)
			if name != "torn index" {
				copy(dest[f.Index()[len(f.Index())-1].Start:],
					base[f.Index()[len(f.Index())-1].Start:])
			}
			path := image(t, t.TempDir(), dest)
			r := apply(t, path, bytes.NewReader(crashed))
			r.wantWarning(t, "has no end")
			wantContent(t, path, base)
			apply(t, path, bytes.NewReader(redo))
			wantContent(t, path, now)
		})
	}
}

// After writes that failed, the page cache holds what the device does not. A run that is repeated
// must not take that for right.
func TestStaleCache(t *testing.T) {
	base, now := make([]byte, 16*mib), random(5, 16*mib)
	patch := exactPatch(t, base, now)
	again := func(t *testing.T, small, path string) {
		t.Helper()
		newRun(path).do(t.Context(), bytes.NewReader(patch)).wantPartial(t)
		devtest.Run(t, "mount", "-o", "remount,size=64m", small)
		apply(t, path, bytes.NewReader(patch))
		wantContent(t, path, now)
	}
	t.Run("file", func(t *testing.T) {
		small := mount(t, "tmpfs", "none", "size=12m")
		backing := sparse(t, small, 64*mib)
		dev := devtest.Loop(t, backing)
		devtest.Run(t, "mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", "-b", "4096", "-E",
			"lazy_itable_init=1", dev)
		again(t, small, sparse(t, mount(t, "ext4", dev, "errors=continue"), 16*mib))
	})
	t.Run("device that somebody keeps open", func(t *testing.T) {
		small := mount(t, "tmpfs", "none", "size=8m")
		dev := devtest.Loop(t, sparse(t, small, 16*mib))
		keep, err := os.Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		defer keep.Close()
		again(t, small, dev)
	})
}

// sparse makes an empty file of the given size.
func sparse(t *testing.T, dir string, size int64) string {
	t.Helper()
	path := filepath.Join(dir, "sparse")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
		t.Fatal(err)
	}
	return path
}
