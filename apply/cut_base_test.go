package apply

import (
	"bytes"
	"testing"
)

// Of a block that the destination has a part of only, the base can't be checked; the part is
// written all the same.
func TestBaseCutOff(t *testing.T) {
	const size, room = 16384, 8192 + 2048
	base := garbage(size)
	shall := bytes.Clone(base)
	for _, off := range []int{100, room - 100, room + 100} {
		shall[off] ^= 0xff
	}
	patch := exactPatch(t, base, shall)
	path := image(t, t.TempDir(), base[:room])
	r := apply(t, path, bytes.NewReader(patch), func(o *Options) { o.AllowSmaller = true })
	wantContent(t, path, shall[:room])
	if r.report.Cut == 0 {
		t.Error("nothing is said to be cut off")
	}
}
