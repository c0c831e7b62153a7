package thin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"lvmsync/dump/devmapper"
	"lvmsync/format/durable"
)

// sentDir is where the notes are. They outlive a restart, as what was sent does.
var sentDir = "/var/lib/lvmsync/sent"

// noteName names the note about a volume by what it keeps whatever becomes of it, its group
// included, and what a merge changes: see [thinVolume].
func noteName(v *volume, created uint32) (string, error) {
	switch {
	case v.lv != nil:
		return noteNameOf(v.lv.UUID, v.target.ID, created), nil
	case v.device.UUID != "":
		return noteNameOf(strings.ReplaceAll(v.device.UUID, "/", "_"), v.target.ID, created), nil
	}
	return "", fmt.Errorf("%s has no UUID", v.name)
}

func noteNameOf(uuid string, thinID, created uint32) string {
	return fmt.Sprintf("%s.%d.%d", uuid, thinID, created)
}

// A found is a note that was looked for, and why it can't be read.
type found struct {
	*note
	err error
}

// notesOf finds the notes about a volume, and about those that had its UUID and its id before:
// which is its own the pool tells. A note of a version that told these not apart may be about any.
func notesOf(v *volume) (map[string]found, error) {
	name, err := noteName(v, 0)
	if err != nil {
		return nil, nil
	}
	files, err := os.ReadDir(sentDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	notes := make(map[string]found)
	for _, f := range files {
		switch {
		case f.Name() == strings.TrimSuffix(name, ".0"):
			err = fmt.Errorf("%s is of an earlier version", filepath.Join(sentDir, f.Name()))
		case strings.HasPrefix(f.Name(), strings.TrimSuffix(name, "0")):
			n, err := findNote(f.Name())
			notes[f.Name()] = found{n, err}
		}
	}
	return notes, err
}

// findNote reads the note of that name; before the first dump it is empty. If it can't be read, it
// says everything.
func findNote(name string) (*note, error) {
	n := newNote(name)
	b, err := readNote(filepath.Join(sentDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		var whole *note
		if whole, err = parseNote(b, name); err == nil {
			return whole, nil
		}
	}
	n.Everything, n.sum = true, xxhash.Sum64(b)
	return n, fmt.Errorf("%s: %w", filepath.Join(sentDir, name), err)
}

// readNote reads a note's file, which must be one.
func readNote(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is no regular file", errDamaged)
	case st.Size() > maxNote:
		return nil, fmt.Errorf("%w: it has %d bytes, more than a note can have", errDamaged,
			st.Size())
	}
	return io.ReadAll(io.LimitReader(f, maxNote))
}

// changeNote adds something to the note of that name, if that is still what is expected; nil:
// whatever it is. One that can't be read is replaced by one that says everything. It tells whether
// it was what was expected.
func changeNote(ctx context.Context, name string, expected, add *note) (done bool, err error) {
	l, err := lockNotes(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.end()) }()
	n, _ := findNote(name)
	if expected != nil && n.sum != expected.sum {
		return false, nil
	}
	n.add(add)
	err = n.write()
	return err == nil, err
}

// lockNotes keeps others from changing any note.
func lockNotes(ctx context.Context) (*lock, error) {
	return takeLock(ctx, "sent", "note what it sends")
}

// write writes the note. Once it returns nil, the note stays.
func (n *note) write() error {
	b, err := n.marshal()
	if err != nil {
		return err
	}
	if err := makeSentDir(); err != nil {
		return err
	}
	path := filepath.Join(sentDir, n.Name)
	f, err := durable.FS{}.Replace(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if _, err = f.Write(b); err == nil {
		err = f.Commit()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), f.Remove())
	}
	return nil
}

// makeSentDir makes the folder of the notes, so that a power cut does not take it away with them:
// no note would say that nothing was sent.
func makeSentDir() error {
	if err := os.MkdirAll(sentDir, 0o700); err != nil {
		return err
	}
	for _, above := range []string{filepath.Dir(sentDir), filepath.Dir(filepath.Dir(sentDir))} {
		f, err := os.Open(above)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return fmt.Errorf("flush %s: %w", above, err)
		}
	}
	return nil
}

// tidyNotes removes the notes about volumes that are gone while their group is there. Some that
// aren't are known already; what can't be told stays.
func tidyNotes(ctx context.Context, there []devmapper.VolumeID) {
	removeTorn(ctx)
	// Before LVM is asked: a volume whose note comes later need not be known then.
	files, _ := os.ReadDir(sentDir)
	var gone []string // or of another group
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), ".") && !slices.ContainsFunc(there, isAbout(f.Name())) {
			gone = append(gone, f.Name())
		}
	}
	if len(gone) == 0 {
		return
	}
	all, err := devmapper.AllVolumes(ctx)
	if err != nil {
		return
	}
	for _, name := range gone {
		n, err := findNote(name)
		inGroup := func(v devmapper.VolumeID) bool { return v.VGUUID == n.Group && n.Group != "" }
		if err == nil && slices.ContainsFunc(all, inGroup) &&
			!slices.ContainsFunc(all, isAbout(name)) {
			_ = os.Remove(filepath.Join(sentDir, name))
		}
	}
}

// removeTorn removes what runs left behind that were killed while they wrote a note. While we have
// the lock none does.
func removeTorn(ctx context.Context) {
	l, err := lockNotes(ctx)
	if err != nil {
		return
	}
	defer func() { _ = l.end() }()
	torn, _ := filepath.Glob(filepath.Join(sentDir, ".*"))
	for _, path := range torn {
		_ = os.Remove(path)
	}
}

// isAbout tells of volumes whether a note of that name is about it.
func isAbout(name string) func(devmapper.VolumeID) bool {
	return func(v devmapper.VolumeID) bool { return strings.HasPrefix(name, v.UUID+".") }
}

// NotesInMemory names what keeps the notes in the machine's memory, so that they are gone after a
// restart, and with them what later dumps need; it is empty if they are on a disk.
func NotesInMemory() string { return durable.Memory(sentDir) }
