package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
)

// samples takes n samples that lie next to one another.
func samples(n int) (f Fingerprint) {
	for i := range int64(n) {
		f = append(f, Sample{Offset: i * SampleSize, Hash: Hash(i)})
	}
	return f
}

// withFingerprint is a header of a delta with it.
func withFingerprint(volumeSize int64, f Fingerprint) Header {
	h := testHeader(Delta, volumeSize)
	h.Base = &Base{Fingerprint: f}
	return h
}

// The JSON text is the format's: numbers as such, hashes in digits.
func TestFingerprintJSON(t *testing.T) {
	f := Fingerprint{{Offset: 0, Hash: 0}, {Offset: 4608, Hash: 0xabc},
		{Offset: 1 << 60, Hash: 1<<64 - 1}}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"offset":0,"hash":"0000000000000000"},` +
		`{"offset":4608,"hash":"0000000000000abc"},` +
		`{"offset":1152921504606846976,"hash":"ffffffffffffffff"}]`
	if d := cmp.Diff(want, string(text)); d != "" {
		t.Error(d)
	}
	var again Fingerprint
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(f, again); d != "" {
		t.Error(d)
	}
}

// A header keeps its fingerprint, the largest there is included, and both readers
// see it.
func TestFingerprintInHeader(t *testing.T) {
	for _, f := range []Fingerprint{nil, samples(1), samples(MaxSamples),
		{{Offset: 512}, {Offset: 512 + SampleSize, Hash: 1}}} {
		h := withFingerprint(MaxSamples*SampleSize, f)
		patch := write(t, h, WriterOptions{})
		c, err := readStream(bytes.NewReader(patch))
		if err != nil {
			t.Fatal(err)
		}
		fromFile, err := readFile(patch)
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []Header{c.Header, fromFile.Header} {
			if d := cmp.Diff(h, got); d != "" {
				t.Errorf("%d samples: %s", len(f), d)
			}
		}
	}
}

func TestHashText(t *testing.T) {
	tests := map[string]struct {
		want Hash
		ok   bool
	}{
		"0000000000000000":    {0, true},
		"0123456789abcdef":    {0x0123456789abcdef, true},
		"0123456789ABCDEF":    {0x0123456789abcdef, true}, // digits are digits in either case
		"fFfFfFfFfFfFfFfF":    {1<<64 - 1, true},
		"":                    {},
		"123456789abcdef":     {},
		"0123456789abcdef0":   {},
		"00123456789abcdef":   {},
		"0123456789abcdeg":    {},
		"0x23456789abcdef":    {},
		"+123456789abcdef":    {},
		"-123456789abcdef":    {},
		" 123456789abcdef":    {},
		"0123456789abcde\n":   {},
		"0123_456_89abcde":    {},
		"\uff10123456789abcd": {}, // a digit, but not ASCII; 16 bytes
	}
	for text, tt := range tests {
		h := Hash(7)
		err := h.UnmarshalText([]byte(text))
		switch {
		case tt.ok && (err != nil || h != tt.want):
			t.Errorf("%q: %x, %v", text, h, err)
		case !tt.ok && (err == nil || h != 7):
			t.Errorf("%q: taken as %x, %v", text, h, err)
		}
		if tt.ok {
			b, err := h.MarshalText()
			if err != nil || string(b) != strings.ToLower(text) {
				t.Errorf("%q is written as %q, %v", text, b, err)
			}
		}
	}
}

// In JSON a hash is a string and nothing else; an error doesn't repeat all of it.
func TestHashJSON(t *testing.T) {
	for _, text := range []string{"5", "5000000000000000", "true", "[]",
		`{"hash":"0000000000000000"}`, `"\ud8000000000000000"`} {
		var h Hash
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("%s is taken as %x", text, h)
		}
	}
	var h Hash
	if err := h.UnmarshalText(bytes.Repeat([]byte("f"), 1<<20)); err == nil ||
		len(err.Error()) > 100 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

// Holds knows a block by its hash, which is the well-known one.
func TestSampleHolds(t *testing.T) {
	block := bytes.Repeat([]byte{5}, SampleSize)
	s := Sample{Hash: Hash(xxhash.Sum64(block))}
	if !s.Holds(block) {
		t.Error("its own block isn't held")
	}
	block[SampleSize-1] ^= 1
	if s.Holds(block) {
		t.Error("another block is held")
	}
	if empty := (Sample{Hash: 0xef46db3751d8e999}); !empty.Holds(nil) {
		t.Error("not xxh64 with seed 0")
	}
}

func TestFingerprintLimits(t *testing.T) {
	const size = 1 << 20
	tests := []struct {
		name string
		size int64
		f    Fingerprint
		want string // empty: it's right
	}{
		{"none", size, nil, ""},
		{"side by side", size, Fingerprint{{Offset: 0}, {Offset: 4096}}, ""},
		{"aligned to sectors only", size, Fingerprint{{Offset: 512}, {Offset: 4608}}, ""},
		{"up to the end", size + 512, Fingerprint{{Offset: size + 512 - 4096}}, ""},
		{"up to an odd end", size + 1, Fingerprint{{Offset: size - 4096}}, ""},
		{"the only block", 4096, Fingerprint{{Offset: 0}}, ""},
		{"the end of the largest volume", 1<<63 - 1, Fingerprint{{Offset: 1<<63 - 4096 - 512}}, ""},
		{"most", MaxSamples * SampleSize, samples(MaxSamples), ""},
		{"too many", size * 4, samples(MaxSamples + 1), "257 samples, limit 256"},
		{"unaligned", size, Fingerprint{{Offset: 511}}, "offset 511 is unaligned"},
		{"aligned, but negative", size, Fingerprint{{Offset: -512}}, "offset -512"},
		{"overlapping", size, Fingerprint{{Offset: 0}, {Offset: 3584}}, "offset 3584"},
		{"twice", size, Fingerprint{{Offset: 4096}, {Offset: 4096}}, "overlaps the one before"},
		{"out of order", size, Fingerprint{{Offset: 8192}, {Offset: 0}}, "out of order"},
		{"past the end", size, Fingerprint{{Offset: size - 3584}},
			"reaches past the end of the volume, 1048576"},
		{"past an odd end", size - 1, Fingerprint{{Offset: size - 4096}}, "past the end"},
		{"of a small volume", 4095, Fingerprint{{Offset: 0}}, "past the end"},
		{"near 2^63", size, Fingerprint{{Offset: 1<<63 - 512}}, "past the end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := withFingerprint(tt.size, tt.f)
			err := h.Validate()
			if tt.want == "" && err != nil || tt.want != "" &&
				(err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if _, writeErr := NewWriter(new(bytes.Buffer), h,
				WriterOptions{}); (writeErr == nil) != (err == nil) {
				t.Errorf("the Writer says %v, Validate %v", writeErr, err)
			}
		})
	}
}

// A reader that meets such a fingerprint calls the header corrupt.
func TestFingerprintRead(t *testing.T) {
	text, err := json.Marshal(withFingerprint(1<<20, samples(2)))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{{`"offset":4096`, `"offset":2048`},
		{`"offset":4096`, `"offset":1048576`}, {`0000000000000001"`, `000000000000001"`}} {
		bad := bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(bad, text) {
			t.Fatalf("%s isn't there", change[0])
		}
		_, _, err := readHeader(bytes.NewReader((&rawPatch{json: string(bad),
			version: Version}).headerFrame(t)), nil)
		var c *CorruptError
		if !errors.As(err, &c) || c.Part != "header" {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}
