//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// A device of which only a part lies in a pool that does not zero its blocks, those larger than
// what is read at a time: where it begins off the page, zeros beside it, and a word in it, uncover
// nothing.
func TestUnzeroedPart(t *testing.T) {
	newUnzeroed(t, "parted", "4m")
	const beside, size = 2*mib - 3*512, 6 * mib
	thin, other := newThin(t, "parted", "thin", size), plain(t, "parted", "other", 2*mib)
	dest := newMapped(t, "parted", linear(0, beside, other, 0),
		linear(beside, size-beside, thin, 8*kib)).path()
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

// What stands on such a volume is such a destination, wherever its blocks then begin.
func TestUnzeroedStacks(t *testing.T) {
	for i, chunk := range []string{"64k", "192k", "512k"} {
		t.Run(chunk, func(t *testing.T) {
			newUnzeroed(t, "stacked", chunk)
			for _, s := range []struct {
				name string
				make func(t *testing.T, thin string) string
				at   int64 // where in the volume it begins, if it's a part as it is
			}{
				{"linear", func(t *testing.T, thin string) string {
					const half = unzeroedSize / 2 / 4096 * 4096
					return newMapped(t, "shifted", linear(0, half, thin, 7*512),
						linear(half, unzeroedSize-half, thin, half+9*mib+19*512)).path()
				}, -1},
				{"crypt", func(t *testing.T, thin string) string {
					key := strings.Repeat("0123456789abcdef", 4)
					return newMapped(t, "secret",
						fmt.Sprintf("0 %d crypt aes-xts-plain64 %s 0 %s 64", unzeroedSize/512, key,
							thin)).path()
				}, -1},
				{"loop", func(t *testing.T, thin string) string {
					return loop(t, thin, "--offset", fmt.Sprint(3*kib), "--sizelimit",
						fmt.Sprint(unzeroedSize))
				}, 3 * kib},
				{"partition", func(t *testing.T, thin string) string {
					dev := loop(t, thin, "--partscan")
					return partition(t, dev, 63, unzeroedSize/512)
				}, 63 * 512},
			} {
				t.Run(s.name, func(t *testing.T) {
					thin := newThin(t, "stacked", "thin", 2*unzeroedSize+4*mib)
					t.Cleanup(func() { sh(t, "lvremove", "-qq", "-y", "stacked/thin") })
					u := &unzeroed{pair: newSparse(uint64(i), unzeroedSize), dest: s.make(t, thin),
						under: thin, at: s.at}
					was := whole(t, u.dest) // beneath encryption not zeros
					copy(u.old, was)
					for n := range 10 {
						copy(u.old[int64(n)*700*kib:], bytes.Repeat([]byte{byte(n)}, 3*512))
					}
					u.new = bytes.Clone(u.old)
					clear(u.new[3*mib-20*kib : 5*mib+100*kib])
					for n := range 10 {
						copy(u.new[int64(n)*600*kib+5*512:], bytes.Repeat([]byte{byte(n)}, 512))
					}
					undo := filepath.Join(t.TempDir(), "undo")
					u.apply(t, u.new, "--verify", "--undo", undo, u.delta0(t, was, u.new))
					u.apply(t, was, undo)
					u.apply(t, u.old, u.delta0(t, was, u.old))
					u.apply(t, u.new, u.delta0(t, u.old, u.new))
					_, patch := u.image(t, u.old)
					u.apply(t, u.old, patch)
				})
			}
		})
	}
}

// delta0 is a delta in sectors from one state to another.
func (u *unzeroed) delta0(t *testing.T, from, to []byte) string {
	t.Helper()
	v := unzeroed{pair: pair{old: from, new: to}}
	return v.patch(t, crafting{unit: 512})
}
