package dump

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lvmsync/format/durable"
)

// ErrNoFile means that what was to be replaced is not a file: it can't appear whole.
var ErrNoFile = errors.New("it is a device, pipe or socket, not a file")

// An Output is the file of a patch or signature that appears whole, under its name and durable, or
// not at all. One that is killed, or whose machine stops, leaves a file behind
// whose name begins with a dot and the patch's name.
type Output struct {
	file *durable.File
	old  *os.File // what is there before, locked; may be nil
	what string   // is in it: "patch"
	path string   // as given

	committed bool // it has its name
	removed   bool
}

// CreateOutput starts a file that Commit will put at path. What is in it, such as "patch", is for
// messages. A file that is there
// is replaced then, and not touched before; its permissions are kept. A new file
// is for its owner only, for it holds a volume's data. Where path is a symbolic
// link, the file that it leads to is meant, and need not exist. What is no
// regular file is refused (ErrNoFile): a device or pipe can't appear whole. So is one that another
// program has locked or may write to (ErrOutputInUse), and a path where no file can be kept
// (a *[durable.PlaceError]).
func CreateOutput(what, path string) (*Output, error) {
	return createOutput(what, path, durable.FS{})
}

func createOutput(what, path string, files durable.FS) (*Output, error) {
	o := &Output{what: what, path: path}
	real, err := followLinks(path)
	if err == nil {
		err = checkReplaceable(real)
	}
	if err == nil {
		err = durable.CheckPlace(real)
	}
	if err == nil {
		o.old, err = lockOld(real)
	}
	if err == nil {
		o.file, err = files.Replace(real)
	}
	if err != nil {
		o.closeOld()
		return nil, fmt.Errorf("create the %s file %s: %w", what, path, durable.Cause(err))
	}
	return o, nil
}

// Write implements [io.Writer].
func (o *Output) Write(b []byte) (int, error) {
	n, err := o.file.Write(b)
	if err != nil {
		err = fmt.Errorf("write the %s file %s: %w", o.what, o.path, err)
	}
	return n, err
}

// Commit makes the file durable and gives it its name. If that fails, the file
// is removed, and what was there before is still there.
func (o *Output) Commit() error {
	err := o.file.Commit()
	defer o.closeOld()
	var name *durable.NameError
	o.committed = err == nil || errors.As(err, &name)
	switch {
	case err == nil:
		return nil
	case o.committed:
		return fmt.Errorf("the %s file %s is whole, but may not outlive a crash: %w",
			o.what, o.path, err)
	}
	if removeErr := o.Cleanup(); removeErr != nil {
		err = fmt.Errorf("%w; then %w", err, removeErr)
	}
	return fmt.Errorf("finish the %s file %s: %w", o.what, o.path, err)
}

// Cleanup removes the unfinished file. After Commit it does nothing.
func (o *Output) Cleanup() error {
	if o.committed {
		return nil
	}
	defer o.closeOld()
	if err := o.file.Remove(); err != nil {
		return fmt.Errorf("remove the unfinished %s file: %w", o.what, err)
	}
	o.removed = true
	return nil
}

func (o *Output) closeOld() {
	if o.old != nil {
		o.old.Close()
	}
}

// Removed tells whether nothing is left of the unfinished file.
func (o *Output) Removed() bool { return o.removed }

// followLinks returns the path of the file that path leads to through symbolic
// links, without any in its folders, so that a name can be replaced by its
// neighbour. The file need not exist; its folder must.
func followLinks(path string) (string, error) {
	for range 40 { // as the kernel has it
		dir, name := filepath.Split(path)
		dir, err := filepath.EvalSymlinks(cmp.Or(dir, "."))
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, name)
		next, err := os.Readlink(path)
		if err != nil { // no link, or nothing there
			return path, nil
		}
		if path = next; !filepath.IsAbs(next) {
			path = dir + "/" + next // not joined: ".." in it means what is above a link's end
		}
	}
	return "", unix.ELOOP
}

func checkReplaceable(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.IsDir():
		return errors.New("it is a folder")
	case !st.Mode().IsRegular():
		return ErrNoFile
	}
	return nil
}
