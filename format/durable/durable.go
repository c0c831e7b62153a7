// Package durable makes files that must outlive the machine's next crash.
//
// Its rule: nothing vouches for a file whose write or fsync has failed. The kernel tells
// of a lost write once; then it forgets it, and the pages with it, and every later fsync
// succeeds. So a [File] that has failed once has failed for good: nothing more is written
// to it, neither an end nor a name makes it look whole, and all that can still be said of
// it is how far it was durable before.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// An FS makes files. The zero value is the kernel's; a function that is set is called
// instead of what it is named after, for tests of what fails once and then works.
type FS struct {
	Write  func(f *os.File, b []byte) (int, error)
	Start  func(f *os.File, off, n int64) error // has the disk begin to write a part of the file
	Sync   func(f *os.File) error               // of files and of folders
	Rename func(from, to string) error
}

// A File is written from its beginning to its end. One goroutine may write while another
// one syncs; whatever ends the file comes after both. Errors are the kernel's, without the
// path.
type File struct {
	fs   FS
	f    *os.File
	dir  *folder // where it is; nil if it has no name
	name string  // what it is called there
	goal string  // what Commit shall call it, if that is something else

	mu      sync.Mutex
	length  int64 // of what was written, in bytes
	started int64 // of that of which the disk has begun to write all, in bytes
	durable int64 // of what is durable, in bytes
	named   bool  // its name is durable, or it has none
	ended   bool
	err     error // the first failure
}

// A NameError says that a whole and durable file may lose its name in a crash: that
// its folder could not be flushed.
type NameError struct{ Err error }

// Error says so.
func (e *NameError) Error() string { return fmt.Sprintf("flush its folder: %v", e.Err) }

// Unwrap gives the cause.
func (e *NameError) Unwrap() error { return e.Err }

// Create makes a new file, for its owner only. Its name is there at once and durable
// after the first Sync.
func (fs FS) Create(path string) (*File, error) {
	dir, name, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	f, err := dir.create(name)
	if err != nil {
		dir.Close()
		return nil, Cause(err)
	}
	return &File{fs: fs, f: f, dir: dir, name: name}, nil
}

// Replace starts a file that Commit puts at path, which must not be a symbolic link. Until
// then it has a hidden name beside that. It gets the permissions of a file that is
// there, else it is for its owner only. One that is a mount point (ErrMountPoint) or that may not
// be changed is refused.
func (fs FS) Replace(path string) (*File, error) {
	dir, name, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	if err := dir.mayReplace(name); err != nil {
		dir.Close()
		return nil, err
	}
	f, hidden, err := dir.createBeside(name)
	if err != nil {
		dir.Close()
		return nil, Cause(err)
	}
	t := &File{fs: fs, f: f, dir: dir, name: hidden, goal: name}
	if st, err := dir.Lstat(name); err == nil {
		if err := f.Chmod(st.Mode().Perm()); err != nil {
			return nil, errors.Join(Cause(err), t.Remove())
		}
	}
	return t, nil
}

// Temp makes a file without a name, which ends with the program.
func (fs FS) Temp(dir string) (*File, error) {
	f, err := os.CreateTemp(dir, ".lvmsync-*")
	if err != nil {
		return nil, Cause(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, Cause(err)
	}
	return &File{fs: fs, f: f, named: true}, nil
}

// File is the file itself, for what is neither written to its end nor flushed.
func (f *File) File() *os.File { return f.f }

// Err is the first failure, which every later call returns, too.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// fail keeps the first failure and returns it.
func (f *File) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = Cause(err)
	}
	return f.err
}

// Write implements [io.Writer]: it adds to the end.
func (f *File) Write(b []byte) (int, error) {
	if err := f.Err(); err != nil {
		return 0, err
	}
	write := f.fs.Write
	if write == nil {
		write = (*os.File).Write
	}
	n, err := write(f.f, b)
	f.mu.Lock()
	f.length += int64(n)
	f.mu.Unlock()
	if err == nil {
		err = f.start()
	}
	if err != nil {
		return n, f.fail(err)
	}
	return n, nil
}

// Sync makes durable what has been written before it was called, and the name.
func (f *File) Sync() error {
	f.mu.Lock()
	length, err := f.length, f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err := f.fs.sync(f.f); err != nil {
		return f.fail(err)
	}
	if !f.named && f.goal == "" {
		if err := f.dir.syncWith(f.fs.sync); err != nil {
			return f.fail(&NameError{Cause(err)})
		}
		f.named = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil { // a Write at the same time may have failed
		f.durable = max(f.durable, length)
	}
	return f.err
}

// Commit ends the file: it is durable then, and has its name. After a failure it does
// nothing but return that; the file is still there, for Cut or Remove. A [*NameError]
// of a file that replaces another comes when it has done so.
func (f *File) Commit() error {
	if err := f.Sync(); err != nil {
		return err
	}
	if f.goal != "" {
		if err := f.rename(); err != nil {
			return f.fail(err)
		}
	}
	f.ended = true
	defer f.close() // an error would be of what Sync has made durable already
	if f.goal != "" {
		if err := f.dir.syncWith(f.fs.sync); err != nil {
			return f.fail(&NameError{Cause(err)})
		}
	}
	return nil
}

// rename gives the file its name, where its folder is to be found.
func (f *File) rename() error {
	if err := f.dir.check(); err != nil {
		return err
	}
	if f.fs.Rename != nil {
		return f.fs.Rename(filepath.Join(f.dir.path, f.name), filepath.Join(f.dir.path, f.goal))
	}
	return f.dir.Rename(f.name, f.goal)
}

// Close lets go of the file and its folder, and leaves it as it is. After what ends the file
// it does nothing.
func (f *File) Close() error {
	if f.ended {
		return nil
	}
	f.ended = true
	_ = f.fail(os.ErrClosed)
	return Cause(f.close())
}

func (f *File) close() error {
	if f.dir != nil {
		f.dir.Close()
	}
	return f.f.Close()
}

// Cut ends a file that stays as it is without being vouched for: what was not known to
// be durable is cut off, so that what is left holds no gap. It returns the first error of
// that; the file may then have anything behind its durable part.
func (f *File) Cut() error {
	if f.ended {
		return nil
	}
	f.ended = true
	_ = f.fail(os.ErrClosed)
	err := f.f.Truncate(f.durable)
	if err == nil {
		err = f.fs.sync(f.f)
	}
	if closeErr := f.close(); err == nil {
		err = closeErr
	}
	return Cause(err)
}

// Remove ends the file and takes it away, wherever its folder is by now. After Commit or Cut
// it does nothing.
func (f *File) Remove() error {
	if f.ended {
		return nil
	}
	f.ended = true
	_ = f.fail(os.ErrClosed)
	var err error
	if f.dir != nil {
		err = f.dir.remove(f.name, f.f)
	}
	f.close()
	return Cause(err)
}

func (fs FS) sync(f *os.File) error {
	if fs.Sync != nil {
		return fs.Sync(f)
	}
	return f.Sync()
}

// Cause strips operation and path from an error of package os, for a message that names them in
// its own way. Other errors it gives back as they are.
func Cause(err error) error {
	var path *os.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
