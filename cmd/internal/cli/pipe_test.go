package cli

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// What a program gets and gives in pipes does not wait for every 64 KiB.
func TestPipesAreWide(t *testing.T) {
	pipe := func() (in, out *os.File) {
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); out.Close() })
		return in, out
	}
	in, _ := pipe()
	_, out := pipe()
	_, other := pipe()
	(&Command{Name: "test"}).Main([]string{"test", "--version"}, Streams{in, out, other})
	for _, f := range []*os.File{in, out} {
		if n, err := unix.FcntlInt(f.Fd(), unix.F_GETPIPE_SZ, 0); err != nil || n != pipeSize {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
}
