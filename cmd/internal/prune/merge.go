package prune

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/durable"
	"lvmsync/format/merge"
)

// merge makes one patch of several and puts it in place of the last, durable and read back. Until
// then nothing is changed.
func (r *runner) merge(ctx context.Context, step retention.Step) (int64, error) {
	var patches []*archive.Patch
	for _, p := range step.Merge {
		patches = append(patches, r.now[p.Path])
	}
	last := patches[len(patches)-1]
	if err := r.room(patches); err != nil {
		return 0, err
	}
	made, err := r.replace(ctx, patches, step.Remove)
	if err != nil {
		return 0, fmt.Errorf("merge %d patches into %s: %w", len(patches), last.Path, err)
	}
	r.now[last.Path], r.checked[last.Path], r.flushed[last.Path] = made, true, true
	r.done.Merged += len(patches)
	r.done.Made++
	r.done.Written += made.Size
	r.done.Won += last.Size - made.Size
	for _, p := range patches { // verified, then merged
		r.done.Read += 2 * p.Size
	}
	r.done.Read += made.Size
	return made.Size, nil
}

// replace puts what patches are merged to in place of the last, if all kept states can be restored
// then, and without what is to be removed.
func (r *runner) replace(ctx context.Context, patches, gone []*archive.Patch) (
	*archive.Patch, error,
) {
	inputs, files, err := open(ctx, patches)
	defer files.Close()
	if err != nil {
		return nil, err
	}
	path := patches[len(patches)-1].Path
	out, err := r.sys.files.Replace(path)
	if err != nil {
		return nil, err
	}
	made := &archive.Patch{Path: path}
	if err = r.beLike(patches, out.File()); err == nil {
		err = r.write(ctx, patches, inputs, out, made)
	}
	if err == nil {
		_, err = r.without(gone, made)
	}
	for i := 0; err == nil && i < len(patches); i++ {
		if err = unchanged(ctx, patches[i]); err != nil {
			err = fmt.Errorf("%s: %w", patches[i].Path, err)
		}
	}
	if err == nil {
		if err = out.Commit(); err == nil {
			return look(ctx, path)
		}
	}
	if cleanupErr := r.cleanUp(out, err); cleanupErr != nil {
		err = fmt.Errorf("%w; then %w", err, cleanupErr)
	}
	return nil, err
}

// errKilled is for tests, which leave what a killed program leaves.
var errKilled = errors.New("killed")

func (r *runner) cleanUp(out *durable.File, why error) error {
	if errors.Is(why, errKilled) {
		return out.Close()
	}
	return out.Remove()
}

// write merges patches to a file without its name yet, reads that back, and fills in what is made.
func (r *runner) write(ctx context.Context, patches []*archive.Patch, inputs []apply.Patch,
	out *durable.File, made *archive.Patch) error {
	m, err := apply.Merge(ctx, inputs, out, apply.MergeOptions{Made: r.Made,
		Options: merge.Options{Level: 1}, Warn: r.Warn, Progress: r.Progress})
	if err != nil {
		return err
	}
	for i, p := range patches {
		if got := m.Patches[i]; got.Header.ID != p.Header.ID || got.Totals != p.Totals {
			return fmt.Errorf("%s: %w", p.Path, errChanged)
		}
	}
	if err := out.Sync(); err != nil {
		return err
	}
	// What is read then comes from the disk.
	_ = unix.Fadvise(int(out.File().Fd()), 0, 0, unix.FADV_DONTNEED)
	back := interruptible{ctx, io.NewSectionReader(out.File(), 0, m.Size)}
	v, err := apply.Read(ctx, apply.Patch{Name: "what was merged", Reader: back},
		apply.ReadOptions{Warn: func(string) {}, Progress: r.Progress}, func(*format.Segment) {})
	if err == nil && (v.Header.ID != m.Header.ID || v.Totals != m.Totals) {
		err = errors.New("what was merged reads back as something else")
	}
	made.Header, made.Totals, made.Size = m.Header, m.Totals, m.Size
	return err
}

type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// open opens the files of patches, which are to be closed, also after an error.
func open(ctx context.Context, patches []*archive.Patch) ([]apply.Patch, archive.Files, error) {
	var inputs []apply.Patch
	var files archive.Files
	for _, p := range patches {
		f, err := os.Open(p.Path)
		if err != nil {
			return nil, files, fmt.Errorf("%s: %w", p.Path, durable.Cause(err))
		}
		files = append(files, f)
		inputs = append(inputs, apply.Patch{Name: p.Path, Reader: patchfile.Reader(ctx, f)})
	}
	return inputs, files, nil
}

// room makes sure that there is room for what patches are merged to: it has less than all of them.
func (r *runner) room(patches []*archive.Patch) error {
	last := patches[len(patches)-1].Path
	need := Bound(patches)
	free, known := r.sys.free(filepath.Dir(last))
	if !known || need <= free {
		return nil // or it shows when it is written
	}
	return fmt.Errorf("%s and those before it may take %s as one, and there is room for %s: %w",
		last, cli.Bytes(need), cli.Bytes(free), unix.ENOSPC)
}

func free(folder string) (bytes int64, known bool) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil || fs.Blocks == 0 {
		return 0, false // or its file system tells nothing
	}
	return int64(fs.Bavail) * fs.Bsize, true
}

// Bound is how many bytes the patch may have that patches are merged to, unless some of what it
// takes from them was compressed better than a merge does.
func Bound(patches []*archive.Patch) (bytes int64) {
	for _, p := range patches {
		bytes += p.Size
	}
	return bytes
}
