package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/durable"
)

// readers look at files at the same time: a disk may have to turn for each.
const readers = 8

// A place is a file to look at; what a folder has besides files comes with its error.
type place struct {
	path    string
	regular bool // as its folder says: it can be opened unseen
	link    bool // it is a symbolic link
	err     error
}

var (
	errFolder    = errors.New("a folder")
	errNotFile   = errors.New("not a regular file")
	errChanged   = errors.New("it changed while it was read")
	errEmpty     = errors.New("it is empty, as a dump leaves it that failed at once")
	errRunOrLeft = errors.New("a dump is writing it, or was broken off")
)

// find lists the files that the paths name.
func find(paths []string) (found []place, err error) {
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", path, durable.Cause(err))
		}
		if !st.IsDir() {
			own, err := os.Lstat(path)
			found = append(found, place{path: path,
				link: err == nil && own.Mode().Type() == fs.ModeSymlink})
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, fmt.Errorf("read the folder %s: %w", path, durable.Cause(err))
		}
		for _, e := range entries {
			p := place{path: filepath.Join(path, e.Name()), regular: e.Type().IsRegular(),
				link: e.Type() == fs.ModeSymlink}
			switch {
			case e.IsDir():
				p.err = errFolder
			case !e.Type().IsRegular() && e.Type() != fs.ModeSymlink:
				p.err = errNotFile
			}
			found = append(found, p)
		}
	}
	return found, nil
}

// look reads headers and trailers.
func look(ctx context.Context, places []place) ([]*Patch, []File, error) {
	all := make([]struct {
		patch *Patch
		file  File
		gone  bool
	}, len(places))
	var g errgroup.Group
	var next atomic.Int64
	names := names{known: make(map[string]string)}
	for range readers {
		g.Go(func() error {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= len(places) {
					break
				}
				patch, file := lookAt(ctx, places[i])
				all[i].patch, all[i].file = patch, file
				if patch != nil {
					names.share(patch.Header.Source.Snapshots)
				} else {
					all[i].gone = errors.Is(file.Err, fs.ErrNotExist) && isHidden(file.Path)
				}
			}
			return ctx.Err()
		})
	}
	if err := cmp.Or(g.Wait(), ctx.Err()); err != nil { // a file that was just read looks cut off
		return nil, nil, err
	}
	var patches []*Patch
	var files []File
	for _, one := range all {
		switch {
		case one.patch != nil:
			patches = append(patches, one.patch)
		case !one.gone: // that was a run's which has ended
			files = append(files, one.file)
		}
	}
	return patches, files, nil
}

// names are those of snapshots, of which each patch of a volume has mostly the same: they take more
// memory than all else that is kept.
type names struct {
	mu    sync.RWMutex
	known map[string]string
}

// share replaces names by the same ones that are known.
func (n *names) share(list []string) {
	var missing []int // few: mostly the patch's own
	n.mu.RLock()
	for i := range list {
		if !n.replace(&list[i]) {
			missing = append(missing, i)
		}
	}
	n.mu.RUnlock()
	if len(missing) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, i := range missing {
		if !n.replace(&list[i]) {
			list[i] = strings.Clone(list[i]) // it is a part of a text with all of them
			n.known[list[i]] = list[i]
		}
	}
}

// replace replaces a name by the same one, if it is known.
func (n *names) replace(name *string) bool {
	known, ok := n.known[*name]
	if ok {
		*name = known
	}
	return ok
}

// isHidden tells whether a file has a name that a patch has only while it is written.
func isHidden(path string) bool { return strings.HasPrefix(filepath.Base(path), ".") }

// lookAt reads one file. Nothing but a regular one is opened to be read: a pipe may have no other
// side, and a tape would turn. What is no patch to build upon comes with what is known of it.
func lookAt(ctx context.Context, p place) (*Patch, File) {
	file := File{Path: p.path, Err: p.err}
	var o *format.Outline
	if p.err == nil {
		o, file.Err = outline(ctx, p, &file)
	}
	if file.Err != nil && (o == nil || !o.Header.MayLackEnd() ||
		!errors.Is(file.Err, format.ErrTruncated)) {
		file.Status = StatusOf(file.Err)
		return nil, file
	}
	h := o.Header
	h.Source.Storage = nil
	if h.Merged != nil {
		h.Merged.Sources = nil
	}
	if h.Base != nil {
		h.Base.Fingerprint = nil
	}
	return &Patch{Path: p.path, Link: p.link, Header: h, Totals: o.Totals, Size: o.Size,
		NoEnd: file.Err != nil, sum: o.Sum}, File{}
}

// outline reads header and trailer, and sets in file what is known of them even if they are not
// right: then there is an error.
func outline(ctx context.Context, p place, file *File) (*format.Outline, error) {
	f, before, err := open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	e := endsOf(ctx, f, before.Size())
	defer e.release()
	o, err := format.ReadOutline(e, before.Size())
	if o != nil {
		file.Header = &o.Header
	}
	if errors.Is(err, format.ErrCorrupt) && o == nil {
		file.sum, _ = format.ReadSum(e, before.Size())
	}
	after, err2 := f.Stat()
	changed := err2 == nil &&
		(after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()))
	hidden := isHidden(p.path)
	switch {
	case hidden && (o != nil || before.Size() == 0):
		return nil, errRunOrLeft
	case before.Size() == 0:
		return nil, errEmpty
	case changed && (o != nil || err != nil):
		return nil, errChanged
	}
	return o, err
}

// open opens a regular file, which may have become something else: that is not waited for.
func open(p place) (*os.File, fs.FileInfo, error) {
	if !p.regular {
		st, err := os.Stat(p.path)
		switch {
		case err != nil:
			return nil, nil, durable.Cause(err)
		case st.IsDir():
			return nil, nil, errFolder
		case !st.Mode().IsRegular():
			return nil, nil, errNotFile
		}
	}
	f, err := os.OpenFile(p.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, durable.Cause(err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errNotFile
	}
	if err != nil {
		f.Close()
		return nil, nil, durable.Cause(err)
	}
	return f, st, nil
}

// StatusOf tells what a file is from what was wrong with it.
func StatusOf(err error) Status {
	switch {
	case errors.Is(err, errRunOrLeft), errors.Is(err, errChanged), errors.Is(err, errEmpty):
		return Unfinished
	case errors.Is(err, format.ErrNotPatch), errors.Is(err, errFolder), errors.Is(err, errNotFile):
		return Foreign
	case errors.Is(err, format.ErrVersion), errors.Is(err, format.ErrFeature):
		return Newer
	case errors.Is(err, format.ErrTruncated):
		return Truncated
	case errors.Is(err, format.ErrCorrupt):
		return Damaged
	}
	return Unreadable
}
