//go:build lvm

package lvmtest

import (
	"bytes"
	"path/filepath"
	"testing"
)

// A device of which only a part lies in a pool that does not zero its blocks, those larger
// than what is read at a time: where it begins off the page, zeros beside it, and a word in
// it, uncover nothing.
func TestUnzeroedPart(t *testing.T) {
	newUnzeroed(t, "parted", "4m")
	const beside, size = 2*mib - 3*512, 6 * mib
	thin, other := newThin(t, "parted", "thin", size), plain(t, "parted", "other", 2*mib)
	dest := newMapped(t, "parted", linear(0, beside, other, 0), linear(beside, size-beside, thin, 8*kib)).path()
	old := make([]byte, size)
	for i := range beside {
		old[i] = byte(1 + i%255)
	}
	put(t, other, old[:beside])
	u := &unzeroed{pair: pair{old: old}, dest: dest, at: -1}
	zeroed := bytes.Clone(old)
	clear(zeroed[mib:beside])
	u.apply(t, zeroed, u.delta0(t, old, zeroed))
	word := bytes.Clone(zeroed)
	copy(word[5*mib:], "a word")
	undo := filepath.Join(t.TempDir(), "undo")
	u.apply(t, word, "--verify", "--undo", undo, u.delta0(t, zeroed, word))
	u.apply(t, zeroed, undo)
}
