//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// A full dump of a volume in use reads late what its snapshots share: a patch from one to another
// is refused while it runs, and takes the copy to that one afterwards.
func TestThinFullInUse(t *testing.T) {
	const volume, late = 48 * mib, 44 * mib
	newPool(t, "late", "64k", "112m")
	origin := newThin(t, "late", "origin", volume)
	fill(t, origin, 1)
	thinSnapshot(t, "late", "origin", "s1")
	dest := plain(t, "late", "dest", volume)

	cmd := exec.Command("lvmsync-dump", "--level", "0", "--full", "late/origin")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, w := newPipe(t)
	cmd.Stdout = w
	dump := start(t, cmd)
	w.Close()
	head := make([]byte, 128*kib) // more than a pipe holds: the volume has been listed
	if _, err := io.ReadFull(out, head); err != nil {
		t.Fatal(err)
	}
	thinSnapshot(t, "late", "origin", "s2")
	poke(t, origin, 2, late)
	for _, args := range [][]string{{"--to", "late/s2", "late/s1"}, {"--reverse", "late/s1"}} {
		r := run(t, nil, "lvmsync-dump", args...)
		r.want(t, 1, "late/s1: a dump of its volume in use has not ended: it reads late/origin")
		r.want(t, 1, "let it end, then dump again")
	}
	run(t, nil, "lvmsync-dump", "-n", "late/s1").want(t, 0, "") // to the volume itself
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := dump.Wait(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	run(t, strings.NewReader(string(head)+string(rest)), "lvmsync-apply", dest).want(t, 0, "")
	wantSame(t, origin, dest) // or it was read before it was written

	transfer(t, dest, "--to", "late/s2", "late/s1")
	wantSnapshot(t, "late/s2", dest)
	transfer(t, dest, "late/s1")
	transfer(t, dest, "--reverse", "late/s1")
	wantSnapshot(t, "late/s1", dest)
}

// After a full dump of a volume in use, a snapshot is merged into it, which is another one by its
// number then: what the dump read late can't be told any more.
func TestThinMergedAfterFull(t *testing.T) {
	const volume = 4 * mib
	newPool(t, "mergedin", "64k", "32m")
	origin := newThin(t, "mergedin", "origin", volume)
	poke(t, origin, 1, 0, 512*kib)
	for _, name := range []string{"s1", "s2"} {
		thinSnapshot(t, "mergedin", "origin", name)
	}
	run(t, nil, "lvmsync-dump", "--full", "mergedin/origin").want(t, 0, "")
	sh(t, "lvchange", "-qq", "-an", "mergedin/origin")
	sh(t, "lvconvert", "-qq", "-y", "--merge", "mergedin/s2")
	sh(t, "lvchange", "-qq", "-ay", "mergedin/origin")
	thinSnapshot(t, "mergedin", "s1", "s3")
	d := run(t, nil, "lvmsync-dump", "-n", "--to", "mergedin/s3", "mergedin/s1")
	d.want(t, 0, "what earlier dumps from mergedin/s1 have sent can't be told: "+
		"all of the volume is sent: mergedin/origin")
	if !strings.Contains(d.stdout, fmt.Sprintf(", %d bytes", int64(volume))) {
		t.Errorf("not all is sent: %s", d.stdout)
	}
}

// Zeros that were sent for one clone of a volume are taken back by the patch to another one.
func TestThinZerosToAnother(t *testing.T) {
	const volume = 8 * mib
	newPool(t, "zeros", "64k", "64m")
	golden := newThin(t, "zeros", "golden", volume)
	poke(t, golden, 1, 0, 512*kib, 4*mib)
	dest := plain(t, "zeros", "dest", volume)
	transfer(t, dest, "--full", "zeros/golden")
	for _, name := range []string{"c1", "c2"} {
		thinSnapshot(t, "zeros", "golden", name)
		sh(t, "lvchange", "-qq", "-ay", "-K", "zeros/"+name)
	}
	sh(t, "blkdiscard", "-o", fmt.Sprint(512*kib), "-l", fmt.Sprint(64*kib), "/dev/zeros/c1")
	poke(t, "/dev/zeros/c2", 2, 1*mib)
	for _, name := range []string{"c1", "c2"} {
		transfer(t, dest, "--to", "zeros/"+name, "zeros/golden")
		wantSame(t, "/dev/zeros/"+name, dest)
	}
}

// What --base and --signature send of a volume in use, patches from its snapshots send again.
func TestThinComparedInUse(t *testing.T) {
	const volume = 8 * mib
	newPool(t, "compared", "64k", "64m")
	origin := newThin(t, "compared", "origin", volume)
	poke(t, origin, 1, 0, 512*kib)
	thinSnapshot(t, "compared", "origin", "s1")
	dest := plain(t, "compared", "dest", volume)
	transfer(t, dest, "--full", "compared/s1")
	sig := func() string {
		return file(t, "sig", []byte(run(t, nil, "lvmsync-patch", "signature", dest).stdout))
	}
	for i, args := range [][]string{{"--signature", ""}, {"--base", dest}} {
		at := int64(2+i) * mib
		poke(t, origin, byte(2+i), at)
		if args[1] == "" {
			args[1] = sig()
		}
		transfer(t, dest, append(args, "compared/origin")...)
		wantSame(t, origin, dest)
		sh(t, "blkdiscard", "-o", fmt.Sprint(at), "-l", fmt.Sprint(64*kib), origin)
		transfer(t, dest, "compared/s1")
		wantSame(t, origin, dest)
	}
}
