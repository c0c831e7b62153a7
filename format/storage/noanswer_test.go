package storage

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// serve shows a folder in another one as a FUSE file system, of a process of its own, which is
// stopped and goes on as wanted: one that serves itself could not be killed while it waits.
func serve(t *testing.T, folder, at string) *os.Process {
	t.Helper()
	if os.Getenv("TEST_SERVES") != "" {
		root, err := fs.NewLoopbackRoot(os.Getenv("TEST_SERVES"))
		if err != nil {
			t.Fatal(err)
		}
		server, err := fs.Mount(os.Getenv("TEST_SERVES_AT"), root,
			&fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true}})
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("ready\n")
		server.Wait()
		os.Exit(0)
	}
	needRoot(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "TEST_SERVES="+folder, "TEST_SERVES_AT="+at)
	runtime.LockOSThread() // it goes with this thread, if nothing else ends it
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		unix.Unmount(at, unix.MNT_DETACH)
	})
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Skipf("no FUSE here: %q", line)
	}
	return cmd.Process
}

// A loop device over a file whose file system doesn't answer, as on a server that is gone, is not
// waited for: what it's on can be nothing that is used.
func TestLoopWithoutAnswer(t *testing.T) {
	folder, at := t.TempDir(), t.TempDir()
	server := serve(t, folder, at)
	if err := os.WriteFile(filepath.Join(folder, "image"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	silent := losetup(t, filepath.Join(at, "image"))
	path := image(t, 1<<20)
	dev := losetup(t, path)
	before := patience
	t.Cleanup(func() { patience = before })
	patience = 100 * time.Millisecond
	if err := server.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Signal(unix.SIGCONT) })
	loops, err := loopsByBacking()
	if err != nil {
		t.Fatal(err)
	}
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := loops[id]; len(got) != 1 || got[0].name != filepath.Base(dev) {
		t.Errorf("%v is above the image, want %s", got, dev)
	}
	for _, layers := range loops {
		for _, l := range layers {
			if l.name == filepath.Base(silent) {
				t.Errorf("%s has answered", silent)
			}
		}
	}
}
