package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"lvmsync/testdata/cowstore"
)

// startSSHD starts a real sshd on loopback with keys of its own, and returns the ssh command line
// to reach it.
func startSSHD(t *testing.T) []string {
	t.Helper()
	sshd, err := exec.LookPath("sshd")
	if err != nil {
		sshd = "/usr/sbin/sshd" // not on every user's PATH
	}
	dir := t.TempDir()
	for _, key := range []string{"host", "user"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
			filepath.Join(dir, key)).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	if os.Geteuid() == 0 { // its folder for privilege separation, which a service manager makes
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	config := filepath.Join(dir, "sshd_config")
	mustWrite(t, config, fmt.Appendf(nil,
		"Port %d\nListenAddress 127.0.0.1\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\n"+
			"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n", port, dir, dir))
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	log := start(t, cmd)
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("sshd: %s", log.String())
		}
	})
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"ssh", "-F", "none", "-i", filepath.Join(dir, "user"), "-p", fmt.Sprint(port),
		"-l", me.Username,
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
		"LogLevel=ERROR",
		"-o", "BatchMode=yes", "-o", "ConnectionAttempts=30", "127.0.0.1"}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// remoteApply is ssh running lvmsync-apply on the other side.
func remoteApply(t *testing.T, ssh []string, dest string) (cmd *exec.Cmd, messages *bytes.Buffer) {
	t.Helper()
	apply, err := exec.LookPath("lvmsync-apply")
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(ssh[0], append(ssh[1:len(ssh):len(ssh)], apply, dest)...)
	messages = new(bytes.Buffer)
	cmd.Stderr = messages
	return cmd, messages
}

// The main job over the network, then the same with the sender killed half-way, then again.
func TestSSH(t *testing.T) {
	ssh := startSSHD(t)
	dir := t.TempDir()
	cow, origin := makeStore(t, dir, 4096)
	want := mustRead(t, origin)
	base := bytes.Repeat([]byte("base"), len(want)/4)
	dest := filepath.Join(dir, "disk.img")

	send := func(t *testing.T) {
		t.Helper()
		dump := exec.Command("lvmsync-dump", "--cow", cow, origin)
		dump.Stderr = os.Stderr
		apply, messages := remoteApply(t, ssh, dest)
		pipe, err := dump.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		apply.Stdin = pipe
		if err := errors.Join(dump.Start(), apply.Start()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(apply.Wait(), dump.Wait()); err != nil {
			t.Fatalf("%v\n%s", err, messages)
		}
		if !bytes.Equal(mustRead(t, dest), want) {
			t.Error("the destination is not what the origin is")
		}
	}
	mustWrite(t, dest, base)
	send(t)

	mustWrite(t, dest, base)
	t.Run("killed", func(t *testing.T) { killHalfWay(t, ssh, cow, origin, dest) })
	if bytes.Equal(mustRead(t, dest), want) {
		t.Error("the sender was killed too late to prove anything")
	}
	send(t)
}

// killHalfWay kills the sender when half of the patch is through.
func killHalfWay(t *testing.T, ssh []string, cow, origin, dest string) {
	whole, err := exec.Command("lvmsync-dump", "--level", "0", "--cow", cow, origin).Output()
	if err != nil {
		t.Fatal(err)
	}
	dump := exec.Command("lvmsync-dump", "--level", "0", "--cow", cow, origin)
	out, err := dump.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	apply, messages := remoteApply(t, ssh, dest)
	in, err := apply.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dump.Start(), apply.Start()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(in, out, int64(len(whole)/2)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dump.Process.Kill(), in.Close()); err != nil {
		t.Fatal(err)
	}
	dump.Wait() // killed: its status is known
	apply.Wait()
	if status := apply.ProcessState.ExitCode(); status != 3 {
		t.Errorf("status %d, want 3", status)
	}
	for _, text := range []string{"patch is truncated", "is part-way", "hint: "} {
		if !strings.Contains(messages.String(), text) {
			t.Errorf("no %q in the message: %s", text, messages)
		}
	}
}

// makeStore makes a COW store that lists every chunk of an origin of random bytes, large enough for
// a patch of several segments.
func makeStore(t *testing.T, dir string, chunks int) (cow, origin string) {
	t.Helper()
	cow, origin = filepath.Join(dir, "cow.img"), filepath.Join(dir, "origin.img")
	changed := make([]int64, chunks)
	for i := range changed {
		changed[i] = int64(i)
	}
	if err := cowstore.Create(cow, 4096, changed, nil); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, chunks*4096)
	rand.NewChaCha8([32]byte{}).Read(data)
	mustWrite(t, origin, data)
	return cow, origin
}
