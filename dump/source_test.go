package dump

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/format"
)

// Whoever makes a source and forgets a part of it is told.
func TestIncompleteSource(t *testing.T) {
	for name, forget := range map[string]func(*Source){
		"extents": func(s *Source) { s.Extents = nil },
		"data":    func(s *Source) { s.Data = nil },
		"sectors": func(s *Source) { s.SectorSize = 0 },
		"check":   func(s *Source) { s.Check = nil },
		"close":   func(s *Source) { s.Close = nil },
	} {
		src := runTests["one block"].fake().source()
		forget(&src)
		var patch bytes.Buffer
		_, err := Run(t.Context(), src, &patch, Options{})
		if err == nil || !strings.HasPrefix(err.Error(), "internal error: ") || patch.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", name, err, patch.Len())
		}
	}
}

// What is left of a source has all that it has but for what lies before the start: also of a disk
// with large sectors, of which some can't be read.
func TestStartKeeps(t *testing.T) {
	const start, bad = 2 * mib, 3 * mib
	d := &badDisk{fakeSource: &fakeSource{volume: noise(4 * mib), extents: data(mib, 3*mib)},
		block: 4 * kib, bad: map[int64]bool{bad / (4 * kib): true}}
	whole := d.source()
	whole.Header.RequiredFeatures = []string{"a feature"}
	whole.Base, whole.Unchanged = held{bytes.NewReader(noise(4 * mib))},
		held{bytes.NewReader(noise(4 * mib))}
	whole.Sums = knownSums{}
	rest, err := StartAt(t.Context(), whole, start)
	if err != nil {
		t.Fatal(err)
	}
	same := map[string]bool{"Data": true, "SectorSize": true, "Base": true, "Sums": true,
		"Inputs": true, "Check": true, "Close": true, "losses": true, "Header": false,
		"Extents": false, "Unchanged": false}
	a, b := reflect.ValueOf(whole), reflect.ValueOf(rest)
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		want, known := same[name]
		if !known {
			t.Errorf("is %s kept?", name)
		}
		if got := equal(a.Field(i), b.Field(i)); want && !got {
			t.Errorf("%s is another one", name)
		}
	}
	if rest.Unchanged != nil || len(rest.Header.Base.Fingerprint) == 0 ||
		len(rest.Header.RequiredFeatures) != 1 {
		t.Errorf("header %+v", rest.Header)
	}
	rest.Sums, rest.Base, rest.Header.RequiredFeatures = nil, nil, nil
	report, err := Run(t.Context(), rest, io.Discard, Options{ZeroUnreadable: true})
	if err != nil || report.Lost != (Lost{1, 4 * kib}) || report.Totals.Bytes() != 2*mib {
		t.Errorf("%+v, %v", report, err)
	}
	if len(report.Header.RequiredFeatures) != 1 ||
		report.Header.RequiredFeatures[0] != format.LostSectors {
		t.Errorf("features %v", report.Header.RequiredFeatures)
	}
}

// equal compares two fields, functions and what can't be compared by where they are.
func equal(a, b reflect.Value) bool {
	if a.Kind() == reflect.Interface {
		a, b = a.Elem(), b.Elem()
	}
	switch {
	case a.Kind() == reflect.Func:
		return a.Pointer() == b.Pointer()
	case !a.IsValid() || !b.IsValid() || !a.Comparable():
		return a.IsValid() == b.IsValid()
	}
	return a.Equal(b)
}

// What is to be checked when all has been read is checked though sectors are lost, and no bad
// sector costs the sample of what has not changed.
func TestZeroUnreadableKeeps(t *testing.T) {
	d := &fakeSource{volume: noise(8 * mib), extents: data(0, 4*kib), base: noise(8 * mib)}
	src := d.source()
	src.Header.RequiredFeatures = make([]string, 0, 4)
	saved := src.zeroingUnreadable(t.Context(), nil)
	more := append(src.Header.RequiredFeatures, "another")
	if !slices.Contains(saved.Header.RequiredFeatures, format.LostSectors) ||
		more[0] != "another" {
		t.Errorf("features %v are those of the source that it was made of",
			saved.Header.RequiredFeatures)
	}
	if saved.Base == nil || saved.Unchanged == nil || saved.SectorSize != sector ||
		saved.Extents == nil {
		t.Errorf("%+v", saved)
	}
	src.Data = readerAt(func([]byte, int64) (int, error) { return 0, unix.ENXIO })
	if _, err := src.zeroingUnreadable(t.Context(),
		nil).Data.ReadAt(make([]byte, sector), 0); err == nil {
		t.Error("what is gone was read")
	}
}
