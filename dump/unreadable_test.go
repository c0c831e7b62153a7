package dump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// These are not of bad sectors: the run ends, by default with any of them.
func TestNotLost(t *testing.T) {
	whole := func(bad ...int64) *badDisk {
		d := &badDisk{fakeSource: &fakeSource{volume: noise(mib), extents: data(0, mib)},
			block: sector, bad: map[int64]bool{}}
		for _, i := range bad {
			d.bad[i] = true
		}
		return d
	}
	all := whole()
	for i := range int64(mib / sector) {
		all.bad[i] = true
	}
	gone := whole(1000)
	gone.err = unix.ENXIO
	smaller := whole(1000)
	smaller.err = io.ErrUnexpectedEOF
	overflowed := whole()
	overflowed.bad = all.bad
	overflowed.check = func(context.Context) error {
		return fmt.Errorf("vg/snap: %w", ErrIncomplete)
	}
	late := whole(1000)
	late.check = overflowed.check
	noBase := whole()
	noBase.base = noise(mib)
	for name, test := range map[string]struct {
		d    *badDisk
		base Base // which can't be read
		stop bool
		is   error
		text string
	}{
		"by default": {whole(1000), nil, true, ErrUnreadable,
			"read the bytes [0, 1048576): read /dev/bad at byte 512000: input/output error"},
		"all of it":      {all, nil, false, errAllGone, "nor can anything else be read"},
		"no such device": {gone, nil, false, unix.ENXIO, "at byte 512000"},
		"smaller": {smaller, nil, false, io.ErrUnexpectedEOF,
			"the source has become smaller"},
		"overflowed":       {overflowed, nil, false, ErrIncomplete, "vg/snap: "},
		"overflowed later": {late, nil, false, ErrIncomplete, "vg/snap: "},
		"base": {noBase, badBase{}, false, unix.EIO,
			"compare with the base: read the bytes ["},
	} {
		t.Run(name, func(t *testing.T) {
			onProcs(t, func(t *testing.T) {
				var out bytes.Buffer
				src := test.d.source()
				if test.base != nil {
					src.Base = test.base
				}
				_, err := Run(t.Context(), src, &out,
					Options{ExactBase: test.base != nil, ZeroUnreadable: !test.stop})
				if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.text) {
					t.Errorf("error %v, want %v with %q", err, test.is, test.text)
				}
				checkTorn(t, out.Bytes())
			})
		})
	}
}

type badBase struct{}

func (badBase) Size() int64                       { return mib }
func (badBase) WillNeed(off, n int64)             {}
func (badBase) ReadAt([]byte, int64) (int, error) { return 0, unix.EIO }

// Each of the kernel's words for a bad sector is known as one.
func TestUnreadable(t *testing.T) {
	for _, e := range []error{unix.EIO, unix.ENODATA, unix.EREMOTEIO, unix.EBADMSG,
		unix.ETIMEDOUT, unix.EILSEQ} {
		d := &badDisk{fakeSource: &fakeSource{volume: noise(mib), extents: data(0, mib)},
			block: sector, bad: map[int64]bool{7: true}, err: e}
		report, err := Run(t.Context(), d.source(), io.Discard, Options{ZeroUnreadable: true})
		if err != nil || report.Lost != (Lost{1, sector}) {
			t.Errorf("%v: %v, %v", e, report.Lost, err)
		}
	}
}

// A dump that is cancelled does not go on to try sector by sector.
func TestLostCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := &badDisk{fakeSource: &fakeSource{volume: noise(mib), extents: data(0, mib)}, block: sector,
		bad: map[int64]bool{}}
	d.bad[0] = true
	d.bad[1] = true
	src := d.source()
	src.Data = readerAt(func(p []byte, off int64) (int, error) {
		cancel()
		return d.read(p, off)
	})
	if _, err := Run(ctx, src, io.Discard,
		Options{ZeroUnreadable: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n := d.reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

// No sample is taken where that can't be read.
func TestLostFingerprint(t *testing.T) {
	d := &fakeSource{volume: noise(8 * mib), extents: data(0, 4*kib), base: noise(8 * mib)}
	src := d.source()
	src.Unchanged = readerAt(func(p []byte, off int64) (int, error) {
		if off < 4*mib {
			return 0, unix.EIO
		}
		return copy(p, d.base[off:]), nil
	})
	for _, zero := range []bool{false, true} {
		report, err := Run(t.Context(), src, io.Discard, Options{ZeroUnreadable: zero})
		if !zero {
			if !errors.Is(err, unix.EIO) {
				t.Errorf("by default: %v", err)
			}
			continue
		}
		if err != nil || len(report.Header.Base.Fingerprint) == 0 ||
			report.Header.Base.Fingerprint[0].Offset < 4*mib {
			t.Errorf("%v, %v", report.Header.Base, err)
		}
	}
}
