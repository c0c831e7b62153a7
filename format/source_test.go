package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestPlaceOverlaps(t *testing.T) {
	disk := func(off, n int64) Place { return Place{ID: "8:0 diskseq 9", Offset: off, Length: n} }
	born := func(when string) Place { return Place{ID: "8:1 inode 12", Born: when} }
	for _, test := range []struct {
		name string
		a, b Place
		want bool
	}{
		{"the same", disk(512, 1024), disk(512, 1024), true},
		{"a byte", disk(512, 1024), disk(1535, 1), true},
		{"side by side", disk(512, 1024), disk(1536, 512), false},
		{"all and a part", disk(0, 0), disk(1<<40, 512), true},
		{"to the end", disk(4096, 0), disk(0, 4097), true},
		{"before that", disk(4096, 0), disk(0, 4096), false},
		{"far out", disk(math.MaxInt64-1, 1), disk(0, math.MaxInt64), true},
		{"another disk", disk(0, 0), Place{ID: "8:0 diskseq 10"}, false},
		{"the same file", born("2026-01-02T03:04:05Z"), born("2026-01-02T03:04:05Z"), true},
		{"a later file", born("2026-01-02T03:04:05Z"), born("2026-01-02T03:04:06Z"), false},
		{"a file of unknown age", born("2026-01-02T03:04:05Z"), born(""), true},
	} {
		if a, b := test.a.Overlaps(test.b), test.b.Overlaps(test.a); a != test.want ||
			b != test.want {
			t.Errorf("%s: %v, %v; want %v", test.name, a, b, test.want)
		}
	}
}

func TestValidatePlaces(t *testing.T) {
	for _, test := range []struct {
		name   string
		places []Place
		want   string // "": valid
	}{
		{"most", manyPlaces(MaxPlaces), ""},
		{"too many", manyPlaces(MaxPlaces + 1), "65 places of the source, limit 64"},
		{"no name", []Place{{Length: 1}}, `place of 1 bytes at byte 0 of the source ""`},
		{"negative offset", []Place{{ID: "x", Offset: -1}}, "at byte -1"},
		{"negative length", []Place{{ID: "x", Length: -1}}, "place of -1 bytes"},
		{"end past 2^63 - 1", []Place{{ID: "x", Offset: 1, Length: math.MaxInt64}}, "place of"},
	} {
		h := deltaPatch().header
		h.Source.Storage = test.places
		err := h.Validate()
		if test.want == "" && err != nil || test.want != "" &&
			(err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// That a volume had no snapshots is not the same as that nobody knows.
func TestSnapshots(t *testing.T) {
	for name, tt := range map[string]struct {
		snapshots []string
		text      string
	}{
		"not known": {nil, ""},
		"none":      {[]string{}, `"snapshots":[]`},
		"two":       {[]string{"a", "b"}, `"snapshots":["a","b"]`},
	} {
		h := deltaPatch().header
		h.Source.Snapshots = tt.snapshots
		b, err := marshalHeader(&h)
		if err != nil {
			t.Fatal(name, err)
		}
		if has := strings.Contains(string(b), `"snapshots"`); has != (tt.text != "") ||
			!strings.Contains(string(b), tt.text) {
			t.Errorf("%s: %s", name, b)
		}
		got, err := NewReader(bytes.NewReader(b), ReaderOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		if s := got.Header().Source.Snapshots; (s == nil) != (tt.snapshots == nil) ||
			!slices.Equal(s, tt.snapshots) {
			t.Errorf("%s: read as %#v", name, s)
		}
		got.Close()
	}
	h := deltaPatch().header
	h.Source.Snapshots = make([]string, MaxSnapshots+1)
	if err := h.Validate(); err == nil ||
		!strings.Contains(err.Error(), "257 snapshots of the volume, limit 256") {
		t.Error(err)
	}
}

// What was noted is named by snapshot; what isn't given is no note.
func TestNoted(t *testing.T) {
	note := uuid.MustParse("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a")
	h := deltaPatch().header
	h.Source.Noted = map[string]uuid.UUID{"b": note, "a": note}
	h.Source.NotedBefore = []uuid.UUID{{1}, note}
	b, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), fmt.Sprintf(`"noted":{"a":%[1]q,"b":%[1]q}`, note)) {
		t.Errorf("%s", b)
	}
	got, err := decodeHeader(b)
	if err != nil || !maps.Equal(got.Source.Noted, h.Source.Noted) ||
		!slices.Equal(got.Source.NotedBefore, h.Source.NotedBefore) {
		t.Errorf("read as %v, %v, %v", got.Source.Noted, got.Source.NotedBefore, err)
	}
	for text, want := range map[string]string{
		`{"source":{"noted":{"a":null,"b":""}}}`: "",
		`{"source":{"noted":null}}`:              "",
		`{"source":{"noted":{"a":"b"}}}`: `JSON: "source.noted.a": ` +
			`"b" is not a UUID of 36 characters`,
		`{"source":{"noted":["a"]}}`:   `JSON: "source.noted": an array in place of an object`,
		`{"source":{"noted":{"a":1}}}`: `JSON: "source.noted.a": a number in place of a string`,
	} {
		got, err := decodeHeader([]byte(text))
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
		if err == nil && got.Source.Noted["a"] != uuid.Nil {
			t.Errorf("%s: %v", text, got.Source.Noted)
		}
	}
	h.Source.NotedBefore = []uuid.UUID{note, uuid.Nil}
	if err := h.Validate(); err == nil || !strings.Contains(err.Error(), "has no id") {
		t.Error(err)
	}
	h.Source.NotedBefore = make([]uuid.UUID, MaxNotedBefore+1)
	if err := h.Validate(); err == nil ||
		!strings.Contains(err.Error(), "65 dumps noted before, limit 64") {
		t.Error(err)
	}
	for i := range MaxSnapshots + 1 {
		h.Source.Noted[fmt.Sprint(i)] = note
	}
	if err := h.Validate(); err == nil || !strings.Contains(err.Error(), "limit 256") {
		t.Error(err)
	}
}

func manyPlaces(n int) []Place {
	places := make([]Place, n)
	for i := range places {
		places[i] = Place{ID: "x", Offset: int64(i), Length: 1}
	}
	return places
}
