package full

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/dump"
	"lvmsync/dump/internal/patchtest"
	"lvmsync/format"
	"lvmsync/format/storage/devtest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// A piece is a range of data in an image file that is otherwise holes.
type piece struct{ off, n int64 }

// image makes an image file of size bytes.
func image(t *testing.T, size int64, pieces ...piece) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{})
	for _, p := range pieces {
		if _, err := io.CopyN(io.NewOffsetWriter(f, p.off), random, p.n); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func open(t *testing.T, path string) *Volume {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// checkDump dumps what is at path and lays the patch out.
func checkDump(t *testing.T, path string) format.Totals {
	t.Helper()
	s := open(t, path).Source()
	plan, err := dump.Plan(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var patch bytes.Buffer
	report, err := dump.Run(t.Context(), s, &patch, dump.Options{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := bytes.Repeat([]byte{0xa5}, len(want))
	patchtest.LayOver(t, got, &patch)
	if sha256.Sum256(got) != sha256.Sum256(want) {
		t.Error("the patch does not give the source's data")
	}
	h := report.Header
	if h.Kind != format.Full || h.VolumeSize != int64(len(want)) ||
		h.Planned.Bytes != h.VolumeSize || h.Source.Path != path {
		t.Errorf("header %+v", h)
	}
	if plan.Bytes() != h.VolumeSize || report.Totals.Bytes() != h.VolumeSize ||
		plan.ZeroBytes > report.Totals.ZeroBytes {
		t.Errorf("planned %+v, dumped %+v", plan, report.Totals)
	}
	return report.Totals
}

func TestDump(t *testing.T) {
	for name, path := range map[string]string{
		"holes":    image(t, 5*mib+77, piece{mib, 3000}, piece{3 * mib, mib}, piece{5 * mib, 77}),
		"no holes": image(t, 5*mib+77, piece{0, 5*mib + 77}),
		"empty":    image(t, 64*mib),
		"one byte": image(t, 1, piece{0, 1}),
	} {
		t.Run(name, func(t *testing.T) { checkDump(t, path) })
	}
}

func TestDumpDevice(t *testing.T) {
	disk := image(t, 5*mib+512, piece{mib, 3000}, piece{3 * mib, mib})
	dev := devtest.Loop(t, disk)
	totals := checkDump(t, dev)
	if want := int64(4*mib + 512 - 4*kib); totals.ZeroBytes != want {
		t.Errorf("%d bytes of zeros, want %d", totals.ZeroBytes, want)
	}
	if s := open(t, dev).Source().Header.Source; s.Type != "device" ||
		s.DeviceID == "" || s.BootID == "" {
		t.Errorf("source %+v", s)
	}
	// What is written through the device's cache is seen, and what is written
	// to it while its file is dumped, too.
	f, err := os.OpenFile(dev, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, path := range []string{dev, disk} {
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, 4*kib), 64*kib); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err := open(t, path).ReadAt(b, 65*kib); err != nil || b[0] != byte(i+1) {
			t.Errorf("%s: read %d, %v; want %d", path, b, err, i+1)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path string
		is   error
	}{
		"empty file": {image(t, 0), ErrEmpty},
		"missing":    {filepath.Join(dir, "none"), os.ErrNotExist},
		"folder":     {dir, nil},
		"pipe":       {pipe, nil},
		"character":  {"/dev/zero", nil},
	} {
		_, err := Open(t.Context(), test.path)
		if err == nil || test.is != nil && !errors.Is(err, test.is) ||
			!strings.Contains(err.Error(), test.path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A file that becomes smaller must not pass for one with a hole at its end,
// whenever that happens.
func TestShrinking(t *testing.T) {
	const size = 20 * mib
	for name, test := range map[string]struct {
		pieces []piece
		to     int64
		when   int64 // done by then, in bytes
	}{
		"before":       {[]piece{{0, size}}, size / 2, -1},
		"data":         {[]piece{{0, size}}, size / 2, 1},
		"holes":        {[]piece{{0, kib}}, size / 2, -1},
		"to nothing":   {[]piece{{0, size}}, 0, 1},
		"the last one": {[]piece{{0, size}}, size - 1, -1},
		"in the end":   {[]piece{{0, size}}, size - 1, size},
	} {
		t.Run(name, func(t *testing.T) {
			path := image(t, size, test.pieces...)
			s := open(t, path).Source()
			shrink := func(done int64) {
				if done >= test.when {
					if err := os.Truncate(path, test.to); err != nil {
						t.Error(err)
					}
				}
			}
			if test.when < 0 {
				shrink(0)
			}
			var patch bytes.Buffer
			_, err := dump.Run(context.Background(), s, &patch, dump.Options{Progress: shrink})
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
			}
			if _, _, err := format.Verify(&patch); !errors.Is(err, format.ErrTruncated) {
				t.Errorf("what was written: %v, want %v", err, format.ErrTruncated)
			}
		})
	}
}
