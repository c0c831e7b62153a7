// Package patchfile opens patches for the programs that read them, and says what may be wrong with
// one.
package patchfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/format"
	"lvmsync/format/durable"
	"lvmsync/format/sigfile"
	"lvmsync/format/storage"
)

// Names are the patches that the arguments name: standard input if there are none.
func Names(args []string) ([]string, error) {
	if len(args) == 0 {
		return []string{Stdin}, nil
	}
	if len(args) > 1 && slices.Contains(args, Stdin) {
		return nil, cli.Usagef("of several patches none can come from standard input")
	}
	return args, nil
}

// Stdin is how standard input is named on a command line.
const Stdin = "-"

// Shown is the name of a patch for people.
func Shown(name string) string {
	if name == Stdin {
		return "standard input"
	}
	return name
}

// About says which patch an error is about, which is clear if it came from a pipe.
func About(name string, err error) error {
	if err == nil || name == Stdin {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// Open opens a patch, or what else is read like one; - is standard input.
//
// To open a pipe with a name takes until somebody opens it for writing, which may be for ever; the
// end of ctx ends that.
func Open(ctx context.Context, inv *cli.Invocation, what, name string) (*os.File, error) {
	f := inv.Std().In
	if name != Stdin {
		var err error
		if f, err = cli.Await(ctx, func() (*os.File, error) { return os.Open(name) }); err != nil {
			return nil, fmt.Errorf("read the %s %s: %w", what, name, durable.Cause(err))
		}
	} else if inv.InIsTerminal() {
		return nil, cli.Usagef("no %s given: standard input is a terminal", what)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the %s %s: %w", what, Shown(name), durable.Cause(err))
	}
	if st.IsDir() {
		return nil, fmt.Errorf("read the %s %s: it is a folder", what, Shown(name))
	}
	return f, nil
}

// Patch opens a patch, which stays open until the program ends.
func Patch(ctx context.Context, inv *cli.Invocation, name string) (apply.Patch, error) {
	f, err := Open(ctx, inv, "patch", name)
	if err != nil {
		return apply.Patch{}, err
	}
	return apply.Patch{Name: Shown(name), Reader: Reader(ctx, f)}, nil
}

// Reader reads an open patch until ctx ends. Only a regular file and a block device can be read
// twice; everything else may be a pipe whose other side is silent.
func Reader(ctx context.Context, f *os.File) io.Reader {
	if cli.IsStored(f) {
		return stored{f, ctx}
	}
	return cli.InterruptibleReader(ctx, f)
}

// A stored patch may be sought through for long, such as a sparse file for where its zeros begin.
type stored struct {
	*os.File
	ctx context.Context
}

func (s stored) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.File.Read(b)
}

func (s stored) ReadAt(b []byte, off int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.File.ReadAt(b, off)
}

// IsDevice tells whether f is a block device. A patch that was written there ends before the device
// does.
func IsDevice(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode().Type() == fs.ModeDevice
}

// Describe tells what a patch says of itself.
func Describe(h format.Header) string {
	h = h.Shown()
	from := h.Source.Path
	if h.Source.Snapshot != "" {
		from = h.Source.VG + "/" + h.Source.Snapshot
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s patch %s", h.Kind, h.ID)
	add := func(before, text string) {
		if text != "" {
			b.WriteString(before + text)
		}
	}
	add(" of ", from)
	add(" on ", h.Host)
	if !h.Created.IsZero() {
		add(", made ", h.Created.Local().Format("2006-01-02 15:04:05"))
	}
	add(" by ", strings.TrimSpace(h.Tool+" "+h.ToolVersion))
	fmt.Fprintf(&b, "; volume of %s (%d bytes)", cli.Bytes(h.VolumeSize), h.VolumeSize)
	return b.String()
}

// IsBad tells whether err is about a patch or signature that is not one, or not whole, or that
// can't be understood here.
func IsBad(err error) bool {
	return errors.Is(err, format.ErrNotPatch) || errors.Is(err, sigfile.ErrNotSignature) ||
		errors.Is(err, format.ErrVersion) || errors.Is(err, format.ErrFeature) ||
		errors.Is(err, format.ErrCorrupt)
}

// advice is what to do about a patch that can't be used, and where that can't be told.
var advice = cli.Advice{
	{format.ErrNotPatch, "patches are made by lvmsync-dump; if it failed on the other side, its " +
		"message says why"},
	{format.ErrTruncated, "the sender stopped early or the copy is not complete: send the patch " +
		"again"},
	{format.ErrVersion, "install a newer lvmsync here"},
	{format.ErrFeature, "install a newer lvmsync here"},
	{format.ErrCorrupt, "copy or send the patch again"},
	{storage.ErrNoSysfs, "mount -t sysfs sysfs /sys"},
	{storage.ErrNoProc, "mount -t proc proc /proc"},
}

// Hint says what to do about an error of reading a patch, or nothing.
func Hint(err error) string { return cmp.Or(advice.For(err), cli.PermissionHint(err)) }
