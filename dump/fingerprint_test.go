package dump

import (
	"bytes"
	"testing"

	"lvmsync/format"
)

// sampled takes the fingerprint of a volume and checks that every sample is right and outside the
// extents.
func sampled(t *testing.T, volume []byte, extents []format.Extent) format.Fingerprint {
	t.Helper()
	f, err := fingerprint(t.Context(), bytes.NewReader(volume),
		(&fakeSource{extents: extents}).list, int64(len(volume)))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f {
		end := s.Offset + format.SampleSize
		if !s.Holds(volume[s.Offset:end]) {
			t.Errorf("the sample at %d is wrong", s.Offset)
		}
		for _, e := range extents {
			if s.Offset < e.End() && e.Off < end {
				t.Errorf("the sample at %d lies in %v", s.Offset, e)
			}
		}
	}
	h := format.Header{VolumeSize: int64(len(volume)), Base: &format.Base{Fingerprint: f},
		Granularity: 512, Kind: format.Delta, ID: [16]byte{1}}
	if err := h.Validate(); err != nil {
		t.Error(err)
	}
	return f
}

func TestFingerprint(t *testing.T) {
	full := noise(16 * mib)
	data := make([]byte, 16*mib) // some in each stratum, behind more than a window of zeros
	for i := 0; i < len(data); i += 128 << 10 {
		copy(data[i+(100<<10):i+(112<<10)], full)
	}
	for _, test := range []struct {
		name    string
		volume  []byte
		extents []format.Extent
		want    int
		zeros   int // at the most
	}{
		{"nothing changed", full, nil, format.MaxSamples, 0},
		{"changes all over", full, every(1<<20, 4096, 16*mib), format.MaxSamples, 0},
		{"little data", data, []format.Extent{{Off: 0, Len: 4096}}, format.MaxSamples,
			format.MaxSamples / 2},
		{"all changed", full, []format.Extent{{Off: 0, Len: 16 * mib}}, 0, 0},
		{"all but a block", full,
			[]format.Extent{{Off: 0, Len: 5 * mib}, {Off: 5*mib + 4096, Len: 11*mib - 4096}},
			1, 0},
		{"less than a block is left", full,
			[]format.Extent{{Off: 0, Len: 5*mib + 512}, {Off: 5*mib + 4096, Len: 11*mib - 4096}},
			0, 0},
		{"small", full[:10000], nil, 2, 0},
		{"smaller than a sample", full[:4000], nil, 0, 0},
		{"zeros", make([]byte, mib), nil, 256, 256},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := sampled(t, test.volume, test.extents)
			zeros := 0
			for _, s := range f {
				if s.Holds(make([]byte, format.SampleSize)) {
					zeros++
				}
			}
			if len(f) != test.want || zeros > test.zeros {
				t.Errorf("%d samples, %d of zeros; want %d, at most %d of zeros", len(f), zeros,
					test.want, test.zeros)
			}
		})
	}
}

// What can't be read is an error.
func TestFingerprintFails(t *testing.T) {
	if _, err := Fingerprint(t.Context(), bytes.NewReader(noise(mib)), 2*mib); err == nil {
		t.Error("a base that is too short gives no error")
	}
	if f, err := fingerprint(t.Context(), bytes.NewReader(noise(mib)),
		(&fakeSource{extents: []format.Extent{{Off: 0, Len: 1<<63 - 1}}}).list,
		1<<63-1); len(f) != 0 || err != nil {
		t.Errorf("a volume of 2^63-1 bytes: %v, %v", f, err)
	}
}
