package thin

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format/storage/kernel"
)

// A witness is a process of this same program that outlives it. Should the program be killed while
// dmsetup reserves a metadata snapshot, or lvchange activates a volume, the witness waits for the
// end of that and notes what has become of it; until then it keeps the lock.
type witness struct {
	cmd    *exec.Cmd
	alive  *os.File // once all who have it are gone, so is everybody else who could note it
	stderr *os.File // what dmsetup said
}

// witnessName is the name by which the program knows that it is to be a witness.
const witnessName = "lvmsync-witness"

// What a witness is called for, as its first argument; the next ones say of what.
const (
	witnessPool   = "pool"   // number, path of the metadata
	witnessVolume = "volume" // UUID of its device
)

// What a witness inherits.
const (
	witnessLock = 3 + iota
	witnessAlive
	witnessStderr
)

func init() {
	if len(os.Args) >= 3 && os.Args[0] == witnessName {
		if err := testify(os.Args[1], os.Args[2:]); err != nil {
			os.Exit(1) // the note stays as it is: nobody knows
		}
		os.Exit(0)
	}
}

func callWitness(l *lock, of ...string) (*witness, error) {
	stderr, err := devmapper.MemoryFile("stderr")
	if err != nil {
		return nil, err
	}
	r, alive, err := os.Pipe()
	if err != nil {
		stderr.Close()
		return nil, err
	}
	defer r.Close()
	w := &witness{alive: alive, stderr: stderr}
	w.cmd = exec.Command("/proc/self/exe")
	w.cmd.Args = append([]string{witnessName}, of...)
	w.cmd.ExtraFiles = []*os.File{l.f, r, stderr}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := w.cmd.Start(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// dismiss ends the witness: what it could tell is noted.
func (w *witness) dismiss() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
	w.close()
}

func (w *witness) close() {
	w.alive.Close()
	w.stderr.Close()
}

// testify is what a witness does.
func testify(of string, args []string) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	l := &lock{f: os.NewFile(witnessLock, "lock")}
	alive, stderr := os.NewFile(witnessAlive, "alive"), os.NewFile(witnessStderr, "stderr")
	if _, err := io.Copy(io.Discard, alive); err != nil {
		return err
	}
	switch {
	case of == witnessVolume && len(args) == 1:
		return concludeActivation(l, args[0])
	case of == witnessPool && len(args) == 2:
		return testifyPool(l, devmapper.Content(stderr), args[0], args[1])
	}
	return nil
}

func testifyPool(l *lock, stderr, number, metadata string) error {
	if stderr != "" { // it failed
		return l.note(reservation{})
	}
	in, err := blockdev.Open(metadata)
	if err != nil {
		return err
	}
	p := new(pool)
	if p.device.Num, err = kernel.Parse(number); err != nil {
		return err
	}
	_, err = p.conclude(context.Background(), l, in)
	return err
}
