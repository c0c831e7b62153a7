//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// unzeroedSize is the size of a destination in a pool without zeroing: its last block is a part of
// one.
const unzeroedSize = 8*mib + 36*kib

// newUnzeroed makes a thin pool that does not zero its blocks, on disks that held something else.
func newUnzeroed(t *testing.T, vg, chunk string) {
	t.Helper()
	newVG(t, vg, 1)
	fill(t, plain(t, vg, "before", 56*mib), 77)
	sh(t, "lvremove", "-qq", "-y", vg+"/before")
	sh(t, "lvcreate", "-qq", "-y", "-Zn", "-c", chunk, "-L", "48m", "-T", vg+"/pool")
	newThin(t, vg, "first", 1*mib) // activates it
	if table := sh(t, "dmsetup", "table", vg+"-pool-tpool"); !strings.Contains(table,
		"skip_block_zeroing") {
		t.Fatalf("the pool zeroes its blocks: %s", table)
	}
}

// newSparse makes a volume of zeros with few words in it, and some others later: where there were
// zeros, over one another, and zeros in place of some, in small pieces and in large ones.
func newSparse(seed uint64, size int64) pair {
	rnd := rand.New(rand.NewChaCha8([32]byte{byte(seed), 5}))
	p := pair{old: make([]byte, size)}
	words := func(b []byte, n int) {
		for range n {
			off := rnd.Int64N(size/512) * 512
			word := b[off:min(off+512*(1+rnd.Int64N(20)), size)]
			for i := range word {
				word[i] = byte(1 + rnd.IntN(255))
			}
		}
	}
	words(p.old, 10)
	p.new = bytes.Clone(p.old)
	clear(p.new[3*mib-20*kib : 5*mib+100*kib])
	clear(p.new[size-60*kib : size-8*kib])
	words(p.new, 10)
	return p.summed()
}

// A thin volume in a pool that does not zero its blocks: what is written uncovers nothing of what
// the disk held before, there and back.
func TestUnzeroedPool(t *testing.T) {
	for i, chunk := range []string{"64k", "192k", "512k", "1m", "4m"} {
		t.Run(chunk, func(t *testing.T) {
			newUnzeroed(t, "unzeroed", chunk)
			p := newSparse(uint64(i), unzeroedSize)
			for _, s := range unzeroedStories {
				t.Run(s.name, func(t *testing.T) {
					dest := newThin(t, "unzeroed", "dest", unzeroedSize)
					defer sh(t, "lvremove", "-qq", "-y", "unzeroed/dest")
					s.story(&unzeroed{pair: p, dest: dest}, t)
				})
			}
		})
	}
}

// An unzeroed is a destination and what it shall hold.
type unzeroed struct {
	pair
	dest  string
	under string // a thin volume of which dest is a part, unless at is negative
	at    int64
}

var unzeroedStories = []struct {
	name  string
	story func(u *unzeroed, t *testing.T)
}{
	{"full", (*unzeroed).full},
	{"full, and back", (*unzeroed).fullAndBack},
	{"deltas", (*unzeroed).deltas},
	{"deltas, and back", (*unzeroed).deltasAndBack},
	{"chain", (*unzeroed).chain},
	{"smaller volume", (*unzeroed).smaller},
	{"killed", (*unzeroed).killed},
}

// renew makes the destination anew: a discard would leave a last block that isn't whole.
func (u *unzeroed) renew(t *testing.T) {
	t.Helper()
	sh(t, "lvremove", "-qq", "-y", "unzeroed/dest")
	newThin(t, "unzeroed", "dest", unzeroedSize)
}

// image makes a file and a full patch of it.
func (u *unzeroed) image(t *testing.T, content []byte) (image, patch string) {
	t.Helper()
	image, patch = file(t, "image", content), filepath.Join(t.TempDir(), "full")
	run(t, nil, "lvmsync-dump", "--full", image, "-o", patch).want(t, 0, "")
	return image, patch
}

// patch makes a delta of old and new.
func (u *unzeroed) patch(t *testing.T, c crafting) string {
	t.Helper()
	c.perSegment = 5
	patch, _ := u.delta(t, c)
	return file(t, "delta", patch)
}

// apply applies patches, and checks that the destination then holds what it shall.
func (u *unzeroed) apply(t *testing.T, want []byte, args ...string) {
	t.Helper()
	run(t, nil, "lvmsync-apply", append(args, u.dest)...).want(t, 0, "")
	u.wants(t, strings.Join(args, " "), want)
}

// wants compares the destination, and tells how much of it is wrong.
func (u *unzeroed) wants(t *testing.T, after string, want []byte) {
	t.Helper()
	u.compare(t, after, whole(t, u.dest), want)
	if u.under != "" && u.at >= 0 { // for a loop device has a cache below itself, too
		u.compare(t, after+" below", whole(t, u.under)[u.at:u.at+int64(len(want))], want)
	}
}

func (u *unzeroed) compare(t *testing.T, after string, got, want []byte) {
	t.Helper()
	wrong, first := 0, -1
	for i := range got {
		if i < len(want) && got[i] != want[i] || i >= len(want) && got[i] != 0 {
			if wrong++; first < 0 {
				first = i
			}
		}
	}
	if wrong > 0 {
		t.Fatalf("after %q %d bytes are wrong, from byte %d on", after, wrong, first)
	}
}

func (u *unzeroed) full(t *testing.T) {
	_, patch := u.image(t, u.old)
	u.apply(t, u.old, patch)
	_, patch = u.image(t, u.new)
	u.apply(t, u.new, "--verify", patch)
	u.apply(t, u.new, patch)
}

func (u *unzeroed) fullAndBack(t *testing.T) {
	_, patch := u.image(t, u.new)
	undo, again := filepath.Join(t.TempDir(), "undo"), filepath.Join(t.TempDir(), "again")
	u.apply(t, u.new, "--verify", "--undo", undo, patch)
	u.apply(t, nil, "--undo", again, undo)
	u.apply(t, u.new, "--verify", again)
}

func (u *unzeroed) deltas(t *testing.T) {
	_, patch := u.image(t, u.old)
	u.apply(t, u.old, patch)
	u.apply(t, u.new, u.patch(t, crafting{unit: block}))
	u.apply(t, u.old, patch)
	u.apply(t, u.new, "--verify", u.patch(t, crafting{exact: true, unit: block}))
	u.apply(t, u.old, patch)
	u.apply(t, u.new, "--verify", u.patch(t, crafting{unit: 512}))
}

func (u *unzeroed) deltasAndBack(t *testing.T) {
	_, patch := u.image(t, u.old)
	for _, c := range []crafting{{unit: block}, {exact: true, unit: block}, {unit: 512}} {
		u.apply(t, u.old, patch)
		undo := filepath.Join(t.TempDir(), "undo")
		u.apply(t, u.new, "--undo", undo, u.patch(t, c))
		u.apply(t, u.old, "--verify", undo)
	}
}

func (u *unzeroed) chain(t *testing.T) {
	old, patch := u.image(t, u.old)
	delta := filepath.Join(t.TempDir(), "delta")
	run(t, nil, "lvmsync-dump", "--base", old, file(t, "new", u.new), "-o", delta).want(t, 0, "")
	undo := filepath.Join(t.TempDir(), "undo")
	u.apply(t, u.new, patch, delta)
	u.renew(t)
	u.apply(t, u.new, "--undo", undo, patch, delta)
	u.apply(t, nil, undo)
}

// smaller has a destination that goes on behind the volume, within a block.
func (u *unzeroed) smaller(t *testing.T) {
	v := unzeroed{pair: newSparse(9, 8*mib-200*kib), dest: u.dest}
	_, patch := v.image(t, v.old)
	v.apply(t, v.old, patch)
	v.apply(t, v.new, "--undo", filepath.Join(t.TempDir(), "undo"),
		v.patch(t, crafting{unit: block}))
	u.renew(t)
	v.apply(t, v.new, "--undo", filepath.Join(t.TempDir(), "undo2"), patch,
		v.patch(t, crafting{unit: block}))
}

// killed breaks runs off, and goes on and back from there.
func (u *unzeroed) killed(t *testing.T) {
	_, patch := u.image(t, u.old)
	delta := u.patch(t, crafting{unit: block})
	rnd := seeded(t)
	for range times(t, 3) {
		u.apply(t, u.old, patch)
		undo := filepath.Join(t.TempDir(), "undo")
		cmd := exec.Command("lvmsync-apply", "--undo", undo, delta, u.dest)
		if _, killed := killAfter(t, cmd, rnd.Int64N(400*kib)); !killed {
			continue
		}
		half := whole(t, u.dest)
		u.apply(t, u.new, delta)
		u.renew(t)
		put(t, u.dest, half)
		if _, err := os.Stat(undo); err == nil {
			if r := run(t, nil, "lvmsync-apply", undo, u.dest); r.status != 4 {
				r.want(t, 0, "")
			}
		}
		u.wants(t, "killed", u.old)
	}
}

// From a thin volume to a thin one as the manual says.
func TestUnzeroedThinToThin(t *testing.T) {
	for _, chunk := range []string{"192k", "512k"} {
		t.Run(chunk, func(t *testing.T) {
			newUnzeroed(t, "tothin", chunk)
			sh(t, "lvcreate", "-qq", "-y", "-c", "64k", "-L", "48m", "-T", "tothin/other")
			sh(t, "lvcreate", "-qq", "-y", "-V", fmt.Sprintf("%db", unzeroedSize), "-T",
				"tothin/other", "-n", "origin")
			origin, dest := "/dev/tothin/origin", newThin(t, "tothin", "dest", unzeroedSize)
			change(t, origin, 1, 10, 0)
			thinSnapshot(t, "tothin", "origin", "snap")
			transfer(t, dest, "--full", "tothin/snap")
			wantSame(t, origin, dest)
			change(t, origin, 2, 10, 4)
			transfer(t, dest, "--exact-base", "tothin/snap")
			wantSame(t, origin, dest)
			thinSnapshot(t, "tothin", "origin", "next")
			change(t, origin, 3, 10, 4)
			transfer(t, dest, "tothin/next")
			wantSame(t, origin, dest)
		})
	}
}
