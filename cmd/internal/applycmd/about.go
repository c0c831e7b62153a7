package applycmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/container"
)

// about says of an error which patch it is about, and what the command line looks like that led to
// it.
func about(inv *cli.Invocation, in *inputs, err error) error {
	patches, destination := in.names, in.destination
	switch {
	case errors.Is(err, format.ErrNotPatch) && inv.NArg() == 1 && isPatch(destination):
		return fmt.Errorf("%s is a patch, %w (standard input is %v)",
			destination, apply.ErrIsPatch, err)
	case patchfile.IsBad(err) && len(patches) == 1:
		return patchfile.About(patches[0], err)
	case isMissing(destination, err) && volumeName.MatchString(destination):
		return &volumeError{err, "/dev/" + destination}
	}
	return err
}

// isPatch tells whether a file is a patch: somebody forgot the destination, and standard input was
// empty, as at night.
func isPatch(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	return err == nil && container.Identify(f, size).Ours
}

func isMissing(path string, err error) bool {
	_, statErr := os.Stat(path)
	return errors.Is(statErr, fs.ErrNotExist) &&
		(errors.Is(err, apply.ErrMissing) || errors.Is(err, fs.ErrNotExist))
}

// volumeName is how LVM's own commands name a logical volume.
var volumeName = regexp.MustCompile(`^[^/.][^/]*/[^/]+$`)

// larger is how to make room for the volume.
func larger(err error) string {
	var small *apply.TooSmallError
	switch {
	case !errors.As(err, &small):
		return ""
	case small.IsDevice:
		return fmt.Sprintf(", if it is a logical volume by: lvextend -L %db %s", small.Volume,
			cli.ShellName(small.Destination))
	}
	return fmt.Sprintf(": truncate -s %d %s", small.Volume, cli.ShellName(small.Destination))
}

// A volumeError is about a destination that is missing, and looks like a logical volume as LVM's
// own commands name it. That is taken for a file: one may be created.
type volumeError struct {
	error
	device string
}

func (e *volumeError) Unwrap() error { return e.error }

func (e *volumeError) hint() string {
	if st, err := os.Stat(e.device); err == nil && st.Mode().Type() == os.ModeDevice {
		return "as a destination a logical volume is named by its device: " +
			cli.ShellWord(e.device)
	}
	hint := fmt.Sprintf("as a destination a logical volume is named by its device, which would be "+
		"%s, but is not there: is the volume active?", cli.ShellWord(e.device))
	if errors.Is(e, apply.ErrNotCreated) {
		hint += " --create makes an image file of a full patch"
	}
	return hint
}
