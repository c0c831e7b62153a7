package apply

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"lvmsync/format"
)

const mib = 1 << 20

// fullVolume is a full patch of 3 MiB with data and zeros of all sizes. Touching
// extents are within a segment and across segments.
func fullVolume() *volume {
	return newVolume(format.Full, 3*mib, []format.Extent{data(0, 4096), data(4096, 512),
		zero(4608, 512), zero(5120, 3072), data(8192, mib-8192)},
		[]format.Extent{data(mib, 65536), zero(mib+65536, 131072), data(mib+196608, 4096)},
		[]format.Extent{zero(mib+200704, 2*mib-200704-512), data(3*mib-512, 512)})
}

// deltaVolume is a delta with extents that are aligned to sectors only.
func deltaVolume() *volume {
	return newVolume(format.Delta, 3*mib, []format.Extent{zero(0, 512), data(1024, 512),
		zero(1536, 4096), data(8192, 65536), data(73728, 512)},
		[]format.Extent{zero(mib-512, 300032), data(2*mib-1024, 8192), zero(3*mib-4608, 4608)})
}

// unalignedVolume ends in the middle of a sector.
func unalignedVolume() *volume {
	return newVolume(format.Full, mib+1000, []format.Extent{data(0, 512), zero(512, mib-1024)},
		[]format.Extent{data(mib-512, 1024), zero(mib+512, 488)})
}

// oddVolume has a size of full sectors, but no full page at the end.
func oddVolume() *volume {
	return newVolume(format.Full, mib+3*512, []format.Extent{data(0, 512), zero(512, 131072-512)},
		[]format.Extent{data(131072, 512), zero(131584, mib+3*512-131584)})
}

func TestApply(t *testing.T) {
	tests := []struct {
		name  string
		vol   *volume
		slack int64 // by which the destination is larger
	}{
		{"full", fullVolume(), 0},
		{"full onto a larger one", fullVolume(), mib},
		{"delta", deltaVolume(), 0},
		{"odd number of sectors", oddVolume(), 0},
		{"unaligned end", unalignedVolume(), -1000 + 1024},
		{"empty delta", newVolume(format.Delta, mib), 0},
	}
	for _, p := range places {
		for _, tt := range tests {
			size := tt.vol.header.VolumeSize + tt.slack
			if !p.canHave(size) {
				continue
			}
			t.Run(p.name+"/"+tt.name, func(t *testing.T) {
				base := garbage(size)
				path := p.make(t, base)
				want := tt.vol.onto(base, len(tt.vol.segments))
				patch, _ := tt.vol.patch(t)
				// and so once more onto the result
				for _, in := range []io.Reader{pipe(patch), bytes.NewReader(patch)} {
					r := apply(t, path, in)
					wantContent(t, path, want)
					if r.report.Cut != 0 || r.report.Created ||
						r.report.DestinationSize != int64(len(base)) {
						t.Errorf("report %+v", r.report)
					}
					wantSteps(t, r.steps, r.report.Totals.Bytes())
				}
			})
		}
	}
}

// wantSteps wants progress that only grows, to the total.
func wantSteps(t *testing.T, steps []int64, total int64) {
	t.Helper()
	if !slices.IsSorted(steps) || total > 0 && (len(steps) == 0 || steps[len(steps)-1] != total) {
		t.Errorf("progress %v, total %d", steps, total)
	}
}

// A destination of the volume's own size, which isn't one of full sectors, can
// only be a file.
func TestApplyUnalignedFile(t *testing.T) {
	vol := unalignedVolume()
	base := garbage(vol.header.VolumeSize)
	path := image(t, t.TempDir(), base)
	patch, _ := vol.patch(t)
	apply(t, path, pipe(patch)).wantWarning(t, "")
	wantContent(t, path, vol.onto(base, len(vol.segments)))
}

func TestReport(t *testing.T) {
	vol := deltaVolume()
	patch, _ := vol.patch(t)
	var started format.Header
	r := apply(t, image(t, t.TempDir(), garbage(3*mib)), pipe(patch), func(o *Options) {
		o.Started = func(h []format.Header) { started = h[0] }
	})
	var dataBytes, zeroBytes int64
	for _, s := range vol.segments {
		for _, p := range s {
			if p.data == nil {
				zeroBytes += p.Len
			} else {
				dataBytes += p.Len
			}
		}
	}
	want := format.Totals{Segments: 2, Extents: 8, DataBytes: dataBytes, ZeroBytes: zeroBytes}
	if r.report.Totals != want {
		t.Errorf("totals %+v, want %+v", r.report.Totals, want)
	}
	if started.ID != vol.header.ID || r.report.Header.ID != vol.header.ID {
		t.Errorf("header of %v started, of %v reported", started.ID, r.report.Header.ID)
	}
}

// A patch in a file begins where the file is read from.
func TestPatchBehindSomethingElse(t *testing.T) {
	vol := deltaVolume()
	patch, _ := vol.patch(t)
	base := garbage(3 * mib)
	path := image(t, t.TempDir(), base)
	f, err := os.Open(image(t, t.TempDir(), append([]byte("prefix"), patch...)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	apply(t, path, f)
	wantContent(t, path, vol.onto(base, 2))
}

// A pipe of the system has the methods of a file, but is none.
func TestSystemPipe(t *testing.T) {
	vol := fullVolume()
	patch, _ := vol.patch(t)
	base := garbage(3 * mib)
	path := image(t, t.TempDir(), base)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		defer w.Close()
		w.Write(patch)
	}()
	apply(t, path, r)
	wantContent(t, path, vol.onto(base, 3))
}

func TestDryRun(t *testing.T) {
	vol := deltaVolume()
	patch, _ := vol.patch(t)
	base := garbage(2 * mib)
	path := image(t, t.TempDir(), base)
	dry := func(o *Options) { o.DryRun, o.AllowSmaller = true, true }
	for _, in := range []io.Reader{pipe(patch), bytes.NewReader(patch)} {
		r := apply(t, path, in, dry)
		if want := int64(8192 - 1024 + 4608); r.report.Cut != want {
			t.Errorf("would cut %d bytes, want %d", r.report.Cut, want)
		}
		if r.verified {
			t.Error("the patch was read twice")
		}
	}
	r := newRun(path)
	dry(&r.Options)
	r.do(t.Context(), pipe(patch[:len(patch)-1])).wantError(t, format.ErrTruncated, "")
	wantContent(t, path, base)
}

func TestCancelledBefore(t *testing.T) {
	vol := fullVolume()
	patch, _ := vol.patch(t)
	base := garbage(3 * mib)
	path := image(t, t.TempDir(), base)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, in := range []io.Reader{pipe(patch), bytes.NewReader(patch)} {
		newRun(path).do(ctx, in).wantError(t, context.Canceled, "")
	}
	wantContent(t, path, base)
}

// Cancelled after the first segment, the run ends with that one durable.
func TestCancelledDuring(t *testing.T) {
	vol := fullVolume()
	patch, _ := vol.patch(t)
	base := garbage(3 * mib)
	path := image(t, t.TempDir(), base)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := newRun(path)
	r.onStep = func(done int64) {
		if done == vol.through(1) {
			cancel()
		}
	}
	r.do(ctx, bytes.NewReader(patch))
	if !errors.Is(r.err, context.Canceled) {
		t.Fatalf("error %v", r.err)
	}
	partial := r.wantPartial(t)
	if partial.Through != vol.through(1) || !partial.Durable {
		t.Errorf("%+v", partial)
	}
	wantContent(t, path, vol.onto(base, 1))
}
