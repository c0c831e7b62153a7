//go:build lvm

package lvmtest

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"testing"
)

// A piped is a dump that is piped into an apply, through the test's hands.
type piped struct {
	dump, apply     *running
	out             io.Reader
	in              io.WriteCloser
	dumped, applied bytes.Buffer // messages
	patch           bytes.Buffer // what has passed
}

func startPiped(t *testing.T, snap, dest string) *piped {
	t.Helper()
	p := &piped{}
	dump, apply := exec.Command("lvmsync-dump", "--level", "0", snap),
		exec.Command("lvmsync-apply", dest)
	dump.Stderr, apply.Stderr = &p.dumped, &p.applied
	out, w := newPipe(t)
	dump.Stdout = w
	var err error
	if p.in, err = apply.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.out = io.TeeReader(out, &p.patch)
	p.dump, p.apply = start(t, dump), start(t, apply)
	w.Close()
	return p
}

// pass hands on n bytes.
func (p *piped) pass(t *testing.T, n int64) {
	t.Helper()
	if _, err := io.CopyN(p.in, p.out, n); err != nil {
		t.Fatal(err)
	}
}

// end hands on the rest, and gives what both have said.
func (p *piped) end(t *testing.T) (dump, apply result) {
	t.Helper()
	if _, err := io.Copy(p.in, p.out); err != nil {
		t.Fatal(err)
	}
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	p.dump.Wait()
	p.apply.Wait()
	t.Logf("%s%s", p.dumped.String(), p.applied.String())
	return result{status: p.dump.ProcessState.ExitCode(), stderr: p.dumped.String()},
		result{status: p.apply.ProcessState.ExitCode(), stderr: p.applied.String()}
}

// A dump that breaks off while its patch is applied, for it is killed or its snapshot overflows,
// leaves the destination part-way if anything had been written, and the next good patch completes
// it. There is more to dump than a dump holds in memory, so that it can't have finished when a part
// of it has been taken.
func TestBrokenDump(t *testing.T) {
	const size, changed, part = 24 * mib, 20 * mib, 3 * mib
	vg := newVG(t, "broken", 1)
	origin, dest := plain(t, vg, "origin", size), plain(t, vg, "dest", size)
	fill(t, origin, 1)
	old := whole(t, origin)
	put(t, dest, old)
	oldSum := sha256.Sum256(old)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "64k", "-L", "21m", "-n", "snap", "broken/origin")
	put(t, origin, newPair(1, changed).old)

	// Killed in the middle.
	p := startPiped(t, "broken/snap", dest)
	p.pass(t, part)
	p.dump.Process.Kill()
	d, a := p.end(t)
	if d.status != -1 {
		t.Fatalf("the dump was not killed: status %d", d.status)
	}
	a.want(t, 3, "patch is truncated")
	a.want(t, 3, dest+" is part-way")
	if holds(t, dest, oldSum) {
		t.Error("nothing was written")
	}

	// Nothing is written of what is not whole in a file or a spool, or ends in its first segment.
	torn := p.patch.Bytes()
	before := sha256.Sum256(whole(t, dest))
	run(t, nil, "lvmsync-apply", file(t, "torn", torn), dest).want(t, 4, "patch is truncated")
	applyPatch(t, torn, "--spool", t.TempDir(), dest).want(t, 4, "patch is truncated")
	run(t, bytes.NewReader(torn[:64*kib]), "lvmsync-apply", dest).want(t, 4, "patch is truncated")
	run(t, bytes.NewReader(torn[:100]), "lvmsync-apply", dest).want(t, 4, "patch is truncated")
	// killed before it wrote anything
	run(t, nil, "lvmsync-apply", dest).want(t, 4, "not an lvmsync patch")
	if sha256.Sum256(whole(t, dest)) != before {
		t.Error("a torn patch has changed the destination")
	}
	transfer(t, dest, "broken/snap")
	wantContent(t, dest, "what the origin holds", whole(t, origin))

	// The snapshot overflows in the middle.
	p = startPiped(t, "broken/snap", dest)
	p.pass(t, part)
	f, err := os.OpenFile(origin, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(old[:size-changed], changed); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	d, a = p.end(t)
	d.want(t, 1, "the snapshot has overflowed")
	a.want(t, 3, "patch is truncated")
	a.want(t, 3, dest+" is part-way")
	transfer(t, dest, "--full", "broken/origin")
	wantContent(t, dest, "what the origin holds", whole(t, origin))
}
