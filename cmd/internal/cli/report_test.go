package cli

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Where the report finds no room, a shorter line may, and says that all else is done.
func TestReportWithoutRoom(t *testing.T) {
	out, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	// A packet that is larger than the socket's buffer is refused, a smaller one is not.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	there, here := os.NewFile(uintptr(fds[0]), "report"), os.NewFile(uintptr(fds[1]), "reader")
	defer here.Close()
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10); err != nil {
		t.Fatal(err)
	}
	c := &Command{Name: "test", Run: func(_ context.Context, inv *Invocation) error {
		inv.Close("", strings.Repeat("x", 64<<10))
		return nil
	}}
	if status := c.Main([]string{"test", "--json"},
		Streams{os.Stdin, out, there}); status != StatusFailed {
		t.Errorf("status %d", status)
	}
	there.Close()
	b := make([]byte, 4<<10)
	n, err := here.Read(b)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if got, want := string(b[:n]), "test: error: the report could not be written: message too "+
		"long; all else is done\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
