package e2e

import (
	"bytes"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A signature made on the other side, a dump here, and applied there, all three at work at the same
// time: two devices, no LVM, ssh between them.
func TestSignatureOverSSH(t *testing.T) {
	m, ssh := asRoot(t), startSSHD(t)
	dir := t.TempDir()
	const size = 24 << 20
	old := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(old)
	clear(old[5<<20 : 9<<20])
	now := bytes.Clone(old)
	rnd := rand.New(rand.NewPCG(1, 0))
	for range 200 {
		off := rnd.IntN(size - 9000)
		rand.NewChaCha8([32]byte{2}).Read(now[off : off+rnd.IntN(9000)])
	}
	clear(now[12<<20 : 13<<20])
	here, there := filepath.Join(dir, "here.img"), filepath.Join(dir, "there.img")
	mustWrite(t, here, now)
	mustWrite(t, there, old)
	source, _ := m.loop(here)
	dest, _ := m.loop(there)
	script := filepath.Join(dir, "pipe")
	lookPath := func(name string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	mustWrite(t, script, []byte("set -o pipefail\n"+
		`"${ssh[@]}" `+lookPath("lvmsync-patch")+" signature "+dest+" |\n"+
		lookPath("lvmsync-dump")+" --signature - "+source+" |\n"+
		`"${ssh[@]}" `+lookPath("lvmsync-apply")+" --verify "+dest+"\n"))
	quoted := "ssh=("
	for _, word := range ssh {
		quoted += "'" + word + "' "
	}
	// the second time nothing is left
	for _, messages := range []string{" of 24 MiB changed", " 0 B of 24 MiB changed"} {
		out, err := exec.Command("bash", "-c", quoted+")\n. "+script).CombinedOutput()
		if err != nil || !strings.Contains(string(out), messages) {
			t.Fatalf("%v, want %q in:\n%s", err, messages, out)
		}
		if !bytes.Equal(readDevice(t, dest), now) {
			t.Fatal("the destination is not what the source is")
		}
	}
}

// readDevice reads all of a device past its page cache.
func readDevice(t *testing.T, dev string) []byte {
	t.Helper()
	out, err := exec.Command("dd", "if="+dev, "iflag=direct", "bs=1M", "status=none").Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
