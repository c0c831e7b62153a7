package apply

import (
	"bytes"
	"testing"

	"lvmsync/format"
)

// A changingPatch is one patch when it's read for the first time, or so often more, and
// another one when it's read again.
type changingPatch struct {
	*bytes.Reader
	then  *bytes.Reader
	reads int // from the beginning
	more  int
}

func (p *changingPatch) ReadAt(b []byte, off int64) (int, error) {
	if off == 0 {
		p.reads++
	}
	if p.reads > 1+p.more {
		return p.then.ReadAt(b, off)
	}
	return p.Reader.ReadAt(b, off)
}

// A patch file that changes after it was verified is noticed: before the first
// write, if it's another patch, else in the segment that isn't right.
func TestChangingPatch(t *testing.T) {
	vol := smallVolume()
	patch, ends := vol.patch(t)
	base := garbage(16384)

	other := smallVolume()
	other.header.ID[0]++
	another, _ := other.patch(t)
	r := newRun(image(t, t.TempDir(), base))
	r.do(t.Context(),
		&changingPatch{Reader: bytes.NewReader(patch), then: bytes.NewReader(another)})
	r.wantError(t, nil, "the patch has changed while it was read")
	wantContent(t, r.Destination, base)

	bad := bytes.Clone(patch)
	bad[ends[0]+20] ^= 1
	r = newRun(image(t, t.TempDir(), base))
	r.do(t.Context(), &changingPatch{Reader: bytes.NewReader(patch), then: bytes.NewReader(bad)})
	r.wantPartial(t)
	wantPrefix(t, r, vol, base, 1)
}

// So is one of several, which are read whole, and then at random.
func TestChangingPatchInChain(t *testing.T) {
	const size = 1 << 20
	full, _ := newVolume(format.Full, size, []format.Extent{data(0, size)}).patch(t)
	next := newVolume(format.Delta, size, []format.Extent{data(4096, 4096), zero(32768, 4096)})
	next.header.ID[0]++
	delta, _ := next.patch(t)
	// as long a patch
	other := newVolume(format.Delta, size, []format.Extent{data(4096, 4096), zero(32768, 8192)})
	other.header.ID = next.header.ID
	another, _ := other.patch(t)
	base := garbage(size)
	r := newRun(image(t, t.TempDir(), base))
	const readWhole = 1 // besides the header
	changing := &changingPatch{Reader: bytes.NewReader(delta),
		then: bytes.NewReader(another), more: readWhole}
	r.doAll(t.Context(), []Patch{{"full", bytes.NewReader(full)}, {"delta", changing}})
	r.wantError(t, nil, "changed")
	wantContent(t, r.Destination, base)
}
