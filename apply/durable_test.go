package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/durable"
	"lvmsync/format/storage/devtest"
)

// A fault is a call of the kernel that fails once; all that come after it work.
type fault struct {
	kind  string // write, sync, folder
	at    int    // which of them, from 1 on; 0: none
	calls int    // how many there were
}

func (f *fault) fails(kind string) bool {
	if kind == f.kind {
		f.calls++
	}
	return kind == f.kind && f.calls == f.at
}

// files makes files that have it.
func (f *fault) files() durable.FS {
	return durable.FS{
		Write: func(file *os.File, b []byte) (int, error) {
			if f.fails("write") {
				n, _ := file.Write(b[:len(b)/2])
				return n, unix.ENOSPC
			}
			return file.Write(b)
		},
		Sync: func(file *os.File) error {
			kind := "sync"
			if st, err := file.Stat(); err != nil || st.IsDir() {
				kind = "folder"
			}
			if f.fails(kind) {
				return unix.EIO
			}
			return file.Sync()
		},
	}
}

// eachFault has do run with each call of a kind failing once.
func eachFault(t *testing.T, kind string, do func(t *testing.T, f *fault)) {
	t.Helper()
	clean := &fault{kind: kind}
	do(t, clean)
	if clean.calls == 0 {
		t.Fatalf("no %s", kind)
	}
	for at := range clean.calls {
		t.Run(fmt.Sprint(at+1), func(t *testing.T) { do(t, &fault{kind: kind, at: at + 1}) })
	}
}

// manySegments is a delta that changes all of a volume of 1 MiB, for which an undo patch
// is written in several batches.
func manySegments() *volume {
	var segments [][]format.Extent
	for off := int64(0); off < mib; off += mib / 4 / batchSegments {
		segments = append(segments, []format.Extent{data(off, mib/4/batchSegments)})
	}
	return newVolume(format.Delta, mib, segments...)
}

// A disk that fails once while an undo patch is written, and then works, takes the way
// back from nobody: what was overwritten is in the undo patch, which does not look whole.
func TestUndoFailsOnce(t *testing.T) {
	vol := manySegments()
	patch, _ := vol.patch(t)
	base := garbage(vol.header.VolumeSize)
	want := vol.onto(base, len(vol.segments))
	for _, kind := range []string{"write", "sync", "folder"} {
		t.Run(kind, func(t *testing.T) {
			outcomes := map[string]int{}
			eachFault(t, kind, func(t *testing.T, f *fault) {
				dir := quickDir(t)
				r := newRun(image(t, dir, base))
				r.Undo, r.files = filepath.Join(dir, "undo"), f.files()
				r.do(t.Context(), bytes.NewReader(patch))
				outcomes[checkFailedUndo(t, r, f, base, want)]++
			})
			t.Log(outcomes)
			if kind != "folder" && (outcomes["untouched"] == 0 || outcomes["part-way"] == 0 ||
				outcomes["no end"] == 0) {
				t.Errorf("not every outcome was seen: %v", outcomes)
			}
		})
	}
}

// checkFailedUndo says what came of a run with an undo patch whose disk failed.
func checkFailedUndo(t *testing.T, r *run, f *fault, base, want []byte) string {
	t.Helper()
	var partial *PartialError
	undo, err := os.ReadFile(r.Undo)
	_, ended := format.End(bytes.NewReader(undo), int64(len(undo)))
	outcome := "part-way"
	switch {
	case f.at == 0:
		if r.err != nil || err != nil || !ended {
			t.Fatalf("without a fault: %v, %v", r.err, err)
		}
		outcome = "whole"
	case r.err == nil:
		wantContent(t, r.Destination, want)
		if !strings.Contains(strings.Join(r.warnings, "\n"),
			"end the undo patch "+r.Undo+", which takes everything back without its end, too: ") {
			t.Errorf("warnings: %q", r.warnings)
		}
		outcome = "no end"
	case !errors.As(r.err, &partial):
		wantContent(t, r.Destination, base)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an undo patch is left: %v", err)
		}
		return "untouched"
	case partial.Undo != r.Undo:
		t.Errorf("%+v", partial)
	}
	if f.at > 0 && ended {
		t.Error("the undo patch has a trailer")
	}
	apply(t, r.Destination, bytes.NewReader(undo))
	wantContent(t, r.Destination, base)
	return outcome
}

// What a spool's disk has lost is noticed before the first write.
func TestSpoolFailsOnce(t *testing.T) {
	vol := manySegments()
	patch, _ := vol.patch(t)
	base := garbage(vol.header.VolumeSize)
	for _, kind := range []string{"write", "sync"} {
		t.Run(kind, func(t *testing.T) {
			eachFault(t, kind, func(t *testing.T, f *fault) {
				dir := quickDir(t)
				r := newRun(image(t, dir, base))
				r.SpoolDir, r.files = dir, f.files()
				if r.do(t.Context(), pipe(patch)); f.at == 0 {
					if r.err != nil {
						t.Fatal(r.err)
					}
					return
				}
				wantUntouched(t, r, base)
				if !strings.Contains(r.err.Error(), "the spool file") {
					t.Errorf("error %v", r.err)
				}
			})
		})
	}
}

// A new file that its disk or its folder has lost once is not said to be there, whatever
// comes later.
func TestCreatedFailsOnce(t *testing.T) {
	vol := largeVolume(windowData/mib + 4)
	patch, _ := vol.patch(t)
	for _, kind := range []string{"sync", "folder"} {
		t.Run(kind, func(t *testing.T) {
			eachFault(t, kind, func(t *testing.T, f *fault) {
				r := newRun(filepath.Join(quickDir(t), "image"))
				r.Create, r.files = true, f.files()
				if r.do(t.Context(), bytes.NewReader(patch)); f.at == 0 {
					if r.err != nil {
						t.Fatal(r.err)
					}
					return
				}
				if p := r.wantPartial(t); p.Durable ||
					!strings.Contains(r.err.Error(), "flush "+r.Destination+": ") {
					t.Errorf("%+v", p)
				}
				apply(t, r.Destination, bytes.NewReader(patch))
				wantContent(t, r.Destination,
					vol.onto(make([]byte, vol.header.VolumeSize), len(vol.segments)))
			})
		})
	}
}

// The trailer says that all before it is there: it is not written before that is durable.
func TestTrailerComesLast(t *testing.T) {
	patch, _ := manySegments().patch(t)
	dir := quickDir(t)
	r := newRun(image(t, dir, garbage(mib)))
	r.Undo = filepath.Join(dir, "undo")
	const trailer = 72       // docs/format.md
	lengths := []int64{0, 0} // at each flush, and before
	r.files.Sync = func(f *os.File) error {
		if st, err := f.Stat(); err != nil || st.Mode().IsRegular() {
			lengths = append(lengths, st.Size())
		}
		return f.Sync()
	}
	if r.do(t.Context(), bytes.NewReader(patch)); r.err != nil {
		t.Fatal(r.err)
	}
	if n := len(lengths); lengths[n-1]-lengths[n-2] != trailer {
		t.Errorf("flushed at %d bytes", lengths)
	}
}

// The same on a real file system, whose device is full for a while: what it lost is gone
// once it has been mounted again.
func TestUndoOnFullDevice(t *testing.T) {
	vol := largeVolume(6 * undoBatch / mib)
	vol.header.Kind = format.Delta
	patch, _ := vol.patch(t)
	base := garbage(vol.header.VolumeSize)
	small := mount(t, "tmpfs", "none", fmt.Sprintf("size=%d", 16*undoBatch))
	dev := devtest.Loop(t, sparse(t, small, 32*undoBatch))
	devtest.Run(t, "mkfs.ext4", "-q", "-J", "size=4", "-m", "0",
		// else the journal has no room, either
		"-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", dev)
	dir := mount(t, "ext4", dev, "errors=continue")
	r := newRun(image(t, quickDir(t), base))
	r.Undo = filepath.Join(dir, "undo")
	rest, flushed := filepath.Join(small, "rest"), 0
	r.files.Sync = func(f *os.File) error {
		err := f.Sync()
		switch flushed++; {
		case flushed == 3: // a batch, the folder, a batch
			fillDisk(t, rest)
		case err != nil:
			_ = os.Remove(rest)
		}
		return err
	}
	r.do(t.Context(), bytes.NewReader(patch))
	if p := r.wantPartial(t); p.Undo != r.Undo ||
		!strings.Contains(r.err.Error(), "flush the undo patch "+r.Undo) {
		t.Errorf("%+v: %v", p, r.err)
	}
	if _, err := os.Stat(rest); err == nil {
		t.Error("the disk was not full")
	}
	devtest.Run(t, "umount", dir)
	devtest.Run(t, "mount", dev, dir)
	undo, err := os.Open(r.Undo)
	if err != nil {
		t.Fatal(err)
	}
	defer undo.Close()
	apply(t, r.Destination, undo).wantWarning(t, "has no end")
	wantContent(t, r.Destination, base)
}

// fillDisk takes all the room of a file system.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := mib; size > 0; { // the last of it in small pieces
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
