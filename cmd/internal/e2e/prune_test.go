package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const nightsKept = 3

// nightly makes an archive of a volume with real dumps, a full one and deltas, and returns what the
// volume held each night.
func nightly(t *testing.T, dir string) (nights [][]byte) {
	t.Helper()
	rnd := rand.NewChaCha8([32]byte{1})
	data := make([]byte, 2<<20)
	rnd.Read(data)
	image, bk := filepath.Join(dir, "disk.img"), filepath.Join(dir, "bk")
	if err := os.Mkdir(bk, 0o700); err != nil {
		t.Fatal(err)
	}
	how := "--full"
	for i := range 7 {
		rnd.Read(data[i*100_000 : i*100_000+150_000])
		mustWrite(t, image, data)
		wantRun(t, 0, "", "lvmsync-dump", strings.Fields(how+" "+image+" -o "+night(bk, i))...)
		nights = append(nights, bytes.Clone(data))
		how = "--base " + bk
	}
	return nights
}

func night(bk string, i int) string { return filepath.Join(bk, fmt.Sprintf("night%d", i)) }

// folderOf is what a folder looks like: its names, and which files they are.
func folderOf(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, e := range entries {
		if st, err := e.Info(); err == nil {
			text += fmt.Sprintln(e.Name(), st.Sys().(*syscall.Stat_t).Ino, st.Size() > 0)
		}
	}
	return text
}

// killPrune prunes, and kills the program once it has changed the folder so many times. It tells
// whether there was something to kill.
func killPrune(t *testing.T, bk string, changes int) bool {
	t.Helper()
	cmd := exec.Command("lvmsync-patch", "prune", "--keep-last", fmt.Sprint(nightsKept), bk)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	messages, ended := start(t, cmd), make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, out) // until the program has ended, and closed it
		close(ended)
	}()
	before, running := folderOf(t, bk), true
	for changes > 0 && running {
		select {
		case <-ended:
			running = false
		default:
			if now := folderOf(t, bk); now != before {
				before = now
				changes--
			}
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	<-ended
	_ = cmd.Wait()
	killed := !cmd.ProcessState.Exited()
	if !killed && cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("status %d:\n%s", cmd.ProcessState.ExitCode(), messages)
	}
	return killed
}

// Whenever the program is killed, all kept states can be restored from the folder, and when it is
// run again it does the rest.
func TestPruneKilled(t *testing.T) {
	dir := t.TempDir()
	nights := nightly(t, dir)
	restores := func(bk string) {
		t.Helper()
		for i := len(nights) - nightsKept; i < len(nights); i++ {
			image := filepath.Join(t.TempDir(), "restored.img")
			wantRun(t, 0, "", "lvmsync-apply", "--create", "--state", filepath.Base(night("", i)),
				bk, image)
			if !bytes.Equal(mustRead(t, image), nights[i]) {
				t.Fatalf("night %d is not what it was", i)
			}
		}
	}
	kills := 0
	for changes, killed := 0, true; killed; changes++ {
		bk := filepath.Join(t.TempDir(), "bk")
		if err := os.CopyFS(bk, os.DirFS(filepath.Join(dir, "bk"))); err != nil {
			t.Fatal(err)
		}
		if killed = killPrune(t, bk, changes); killed {
			kills++
		}
		restores(bk)
		wantRun(t, 0, "", "lvmsync-patch", "prune", "--keep-last", fmt.Sprint(nightsKept), bk)
		restores(bk)
		if n := strings.Count(folderOf(t, bk), "\n"); n != nightsKept {
			t.Errorf("killed after %d changes: %d files are left:\n%s", changes, n, folderOf(t, bk))
		}
	}
	if kills < 3 {
		t.Errorf("killed %d times only", kills)
	}
}
