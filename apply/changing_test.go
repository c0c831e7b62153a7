package apply

import (
	"bytes"
	"testing"
)

// A changingPatch is one patch when it's read for the first time and another
// one when it's read again.
type changingPatch struct {
	*bytes.Reader
	then  *bytes.Reader
	reads int // from the beginning
}

func (p *changingPatch) ReadAt(b []byte, off int64) (int, error) {
	if off == 0 {
		p.reads++
	}
	if p.reads > 1 {
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
	r.do(t.Context(), &changingPatch{Reader: bytes.NewReader(patch), then: bytes.NewReader(another)})
	r.wantError(t, nil, "the patch has changed while it was read")
	wantContent(t, r.Destination, base)

	bad := bytes.Clone(patch)
	bad[ends[0]+20] ^= 1
	r = newRun(image(t, t.TempDir(), base))
	r.do(t.Context(), &changingPatch{Reader: bytes.NewReader(patch), then: bytes.NewReader(bad)})
	r.wantPartial(t)
	wantPrefix(t, r, vol, base, 1)
}
