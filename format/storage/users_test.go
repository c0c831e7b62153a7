package storage

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lvmsync/format/storage/devtest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// usersOf lists the users of a path as text, process ids as "N".
func usersOf(t *testing.T, path string) []string {
	t.Helper()
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	usage, err := Users(id)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 && usage.Unseen != 0 {
		t.Logf("root, but %d processes could not be looked at", usage.Unseen)
	}
	list := []string{}
	for _, u := range usage.Users {
		list = append(list, strings.ReplaceAll(u.String(), fmt.Sprintf("pid %d", u.PID), "pid N"))
	}
	return list
}

func checkUsers(t *testing.T, path string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), usersOf(t, path)); diff != "" {
		t.Errorf("users of %s (-want +got):\n%s", path, diff)
	}
}

// hold starts a process that opens path with a shell's redirection, twice, until the test ends. It
// gives its process id.
func hold(t *testing.T, redirection, path string) int {
	t.Helper()
	cmd := exec.Command("sh", "-c",
		`exec 3`+redirection+`"$1" 4`+redirection+`"$1"; echo open; read end`, "sh", path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // read fails at the end of input
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "open\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	return cmd.Process.Pid
}

func TestUsersMounts(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, fsSize))
	mkfs(t, dev)
	checkUsers(t, dev)
	a := mount(t, dev)
	b := mount(t, "--bind", a)
	devtest.Run(t, "mount", "-o", "remount,bind,ro", b)
	checkUsers(t, dev, "mounted on "+a+" (ext4, rw)", "mounted on "+b+" (ext4, ro)")
}

func TestUsersReadOnlyMount(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, fsSize))
	mkfs(t, dev)
	dir := mount(t, "-o", "ro", dev)
	id, err := Identify(dev)
	if err != nil {
		t.Fatal(err)
	}
	usage, err := Users(id)
	if err != nil {
		t.Fatal(err)
	}
	want := Usage{Users: []User{{Kind: Mounted, ReadOnly: true, Mountpoint: dir, FSType: "ext4"}},
		Unseen: usage.Unseen}
	if diff := cmp.Diff(want, usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
}

func TestUsersPartition(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, fsSize+1<<20))
	part := addPartition(t, dev)
	checkUsers(t, dev)
	mkfs(t, part)
	checkUsers(t, dev, "mounted on "+mount(t, part)+" (ext4, rw) through "+filepath.Base(part))
}

func TestUsersLoopDevices(t *testing.T) {
	path := devtest.Hole(t, fsSize)
	checkUsers(t, path)
	low := devtest.Loop(t, path)
	top := devtest.Loop(t, low, "--read-only")
	checkUsers(t, path, "behind loop device "+top, "behind loop device "+low)
	checkUsers(t, low, "behind loop device "+top)
	checkUsers(t, top)
}

func TestUsersSwap(t *testing.T) {
	path := devtest.Hole(t, 1<<20)
	dev := devtest.Loop(t, path)
	devtest.Run(t, "mkswap", dev)
	if out, err := exec.Command("swapon", dev).CombinedOutput(); err != nil {
		t.Skipf("this kernel or container does not let swap be used: %s", out)
	}
	t.Cleanup(func() { devtest.Run(t, "swapoff", dev) })
	checkUsers(t, dev, "used as swap")
	name := filepath.Base(dev)
	checkUsers(t, path, "behind loop device "+dev, "used as swap through "+name)
}

func TestUsersProcesses(t *testing.T) {
	path := devtest.Hole(t, 1<<20)
	hold(t, "<", path)
	devtest.Write(t, path, os.O_WRONLY, nil) // this process does not count
	checkUsers(t, path)
	hold(t, "<>", path)
	hold(t, ">>", path)
	checkUsers(t, path, "open for writing by sh (pid N)", "open for writing by sh (pid N)")
}

// Somebody may write though the process has no descriptor for it: a thread that has a file table of
// its own, also when the process's first thread has ended, and memory that a file or device is
// mapped to.
func TestUsersWithoutDescriptor(t *testing.T) {
	if path := os.Getenv("TEST_THREAD_HOLDS"); path != "" {
		holdInThread(path)
	}
	if path := os.Getenv("TEST_MAPPING_HOLDS"); path != "" {
		holdInMemory(path)
	}
	devtest.NeedRoot(t)
	for _, how := range []string{"TEST_THREAD_HOLDS", "TEST_MAPPING_HOLDS"} {
		path := devtest.Hole(t, 1<<20)
		for _, path := range []string{path, devtest.Loop(t, path)} {
			end := startHolder(t, how, path)
			if got := usersOf(t, path); !slices.Contains(got, "open for writing by exe (pid N)") {
				t.Errorf("%s: users of %s: %q", how, path, got)
			}
			end()
			if got := usersOf(t, path); slices.Contains(got, "open for writing by exe (pid N)") {
				t.Errorf("%s has ended: users of %s: %q", how, path, got)
			}
		}
	}
}

// startHolder runs this test in a process that holds path.
func startHolder(t *testing.T, how, path string) (end func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), how+"="+path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		in.Close()
		cmd.Wait()
	})
	t.Cleanup(end)
	if _, err := io.ReadFull(out, make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}
	return end
}

// holdInThread opens a file for writing in a thread of its own until standard input ends.
func holdInThread(path string) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		os.Exit(1)
	}
	if _, err := unix.Open(path, unix.O_RDWR, 0); err != nil {
		os.Exit(1)
	}
	stayReady()
}

// holdInMemory maps a file to memory that can be written until standard input ends.
func holdInMemory(path string) {
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	if err != nil {
		os.Exit(1)
	}
	if _, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED); err != nil {
		os.Exit(1)
	}
	unix.Close(fd)
	stayReady()
}

func stayReady() {
	unix.Write(1, []byte("ready"))
	unix.Read(0, make([]byte, 1))
	os.Exit(0)
}

func TestUsersProcessesOfDevice(t *testing.T) {
	path := devtest.Hole(t, 1<<20)
	dev := devtest.Loop(t, path)
	hold(t, "<", dev)
	checkUsers(t, dev)
	pid := hold(t, "<>", dev)
	checkUsers(t, dev, "open for writing by sh (pid N)")
	checkUsers(t, path, "behind loop device "+dev, "open for writing by sh (pid N) through "+
		filepath.Base(dev))
	id, err := Identify(dev)
	if err != nil {
		t.Fatal(err)
	}
	usage, err := Users(id)
	if err != nil || len(usage.Users) != 1 || usage.Users[0].PID != pid {
		t.Errorf("Users = %+v, %v; want pid %d", usage, err, pid)
	}
}

// A link to the device elsewhere, or another node for it, is the same device.
func TestUsersByOtherNode(t *testing.T) {
	dev := devtest.Loop(t, devtest.Hole(t, 1<<20))
	id, err := Identify(dev)
	if err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(t.TempDir(), "node")
	devtest.Run(t, "mknod", node, "b", strconv.Itoa(int(id.Major)), strconv.Itoa(int(id.Minor)))
	hold(t, "<>", node)
	checkUsers(t, dev, "open for writing by sh (pid N)")
}

// Without root, what other people's processes have open cannot be seen: the caller has to know.
func TestUsersUnseen(t *testing.T) {
	line := asNobody(t, func() {
		_, unseen, err := processesUsing(map[ID]string{})
		fmt.Printf("unseen %d, %v\n", unseen, err)
	})
	if !strings.HasSuffix(line, ", <nil>") || strings.HasPrefix(line, "unseen 0") {
		t.Errorf("as nobody: %q, want more than 0 and no error", line)
	}
}

func TestWritable(t *testing.T) {
	for content, want := range map[string]bool{
		"pos:\t0\nflags:\t0100000\nmnt_id:\t29\n":  false,
		"pos:\t0\nflags:\t0100001\nmnt_id:\t29\n":  true,
		"pos:\t0\nflags:\t02140002\nmnt_id:\t29\n": true,
		"pos:\t0\nflags:\t0100003\n":               false,
		"pos:\t0\nflags:\t01000a2\n":               false,
		"pos:\t0\n":                                false,
		"":                                         false,
	} {
		if got := writable(devtest.Image(t, []byte(content))); got != want {
			t.Errorf("writable(%q) = %v", content, got)
		}
	}
}

func TestUserString(t *testing.T) {
	u := User{Kind: OpenForWriting, PID: 4711, Process: printable("qemu\x1b[2J\n")}
	if got, want := u.String(), "open for writing by qemu?[2J? (pid 4711)"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

// Where /proc hides processes of others (mounted with hidepid), they are not in it.
func TestUsersHidden(t *testing.T) {
	old := procRoot
	t.Cleanup(func() { procRoot = old })
	for hidden, want := range map[bool]int{true: 1, false: 0} {
		procRoot = t.TempDir()
		if !hidden {
			if err := os.MkdirAll(filepath.Join(procRoot, "1", "fd"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if _, unseen, err := processesUsing(nil); err != nil || unseen != want {
			t.Errorf("%d processes could not be looked at, want %d (%v)", unseen, want, err)
		}
	}
}
