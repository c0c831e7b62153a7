package format

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/strictjson"
	"lvmsync/format/internal/vectortest"
)

// loneSurrogate tells whether there may be half of a surrogate pair, which the other library
// takes for U+FFFD.
func loneSurrogate(text []byte) bool { return bytes.Contains(bytes.ToLower(text), []byte(`\ud`)) }

// FuzzHeaderJSON: what is taken is an object in which no name is there twice, and says what
// another library reads in it; what is written again is taken, and means the same.
func FuzzHeaderJSON(f *testing.F) {
	for _, pattern := range []string{goldenDir + "/*.lvmpatch", badDir + "/*.lvmpatch"} {
		for _, b := range golden(f, pattern) {
			if len(b) > 24 && len(b) < 8192 && int(le.Uint32(b[20:])) <= len(b)-24 {
				f.Add(b[24 : 24+le.Uint32(b[20:])])
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return
		}
		h, err := decodeHeader(text)
		if err != nil {
			vectortest.CheckMessage(t, err)
			return
		}
		if err := vectortest.PlainObject(text); err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		checkNumbers(t, text, h)
		if h.Validate() != nil {
			return
		}
		again, err := json.Marshal(h)
		if err != nil {
			return // a year that has five digits elsewhere
		}
		back, err := decodeHeader(again)
		if err != nil || cmp.Diff(h, back) != "" || back.Validate() != nil {
			t.Fatalf("%s, written again as %s, is another one (%v): %s",
				text, again, err, cmp.Diff(h, back))
		}
	})
}

// checkNumbers compares what the header says with what another library reads under exactly
// these names.
func checkNumbers(t *testing.T, text []byte, h *Header) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var all map[string]any
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]int64{"volume_size": h.VolumeSize,
		"granularity": h.Granularity, "start": h.Start} {
		want, _ := all[name].(json.Number)
		if n, err := want.Int64(); want != "" && (err != nil || n != got) || want == "" &&
			got != 0 {
			t.Fatalf("%s: %d, want %q in %s", name, got, want, text)
		}
	}
	kind, _ := all["kind"].(string)
	host, _ := all["host"].(string)
	if string(h.Kind) != kind || h.Host != host {
		t.Fatalf("kind %q, host %q, want %q, %q", h.Kind, h.Host, kind, host)
	}
}

// FuzzUnknownJSON: what stands under a name that isn't known is taken if, and only if, it is
// JSON without names that are there twice, and not too deep.
func FuzzUnknownJSON(f *testing.F) {
	for _, text := range []string{`1`, `[{}]`, `{"a":1,"A":2,"":3}`, `{"a":1,"\u0061":2}`,
		`[[{"x":[{"y":1,"y":2}]}]]`, `1e999`, `-0.0`, `"\u0000"`,
		`1,"other":{"a":[]},"other":1`, nested(63), nested(
			64), `"\ud83d\ude00"`, `7,"kınd":1,"Kind":2`, "{\"a\":\n\t1 }", `1} `, `"\x"`, `01`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		text := append([]byte(`{"unknown":`), value...)
		text = append(text, '}')
		if !utf8.Valid(text) || loneSurrogate(value) || len(text) > frame.MaxJSON {
			return
		}
		var nothing struct{}
		err := strictjson.Decode(text, &nothing)
		want := vectortest.PlainObject(text)
		if (err == nil) != (want == nil) {
			t.Fatalf("%q: %v, want %v", text, err, want)
		}
		if err != nil {
			vectortest.CheckMessage(t, err)
		}
	})
}

// Errors name the field, and say in words of the format what is wrong with it.
func TestJSONMessages(t *testing.T) {
	for text, want := range map[string]string{
		`{"volume_size":"1"}`: `JSON: "volume_size": a string in place of an integer`,
		`{"volume_size":1.5}`: `JSON: "volume_size": "1.5" is not an integer of digits alone`,

		`{"start":-1}`:                  `JSON: "start": "-1" is not an integer of digits alone`,
		`{"start":9223372036854775808}`: `JSON: "start": 9223372036854775808 exceeds 2^63-1`,
		`{"host":[]}`:                   `JSON: "host": an array in place of a string`,
		`{"kind":7}`:                    `JSON: "kind": a number in place of a string`,
		`{"base":7}`:                    `JSON: "base": a number in place of an object`,
		`{"source":"x"}`:                `JSON: "source": a string in place of an object`,
		`{"planned":[]}`:                `JSON: "planned": an array in place of an object`,
		`{"planned":{"bytes":null,"extents":"4"}}`: `JSON: "planned.extents": ` +
			`a string in place of an integer`,
		`{"base":{"exact":1}}`:        `JSON: "base.exact": a number in place of true or false`,
		`{"base":{"fingerprint":{}}}`: `JSON: "base.fingerprint": an object in place of an array`,
		`{"base":{"fingerprint":[7]}}`: `JSON: "base.fingerprint.0": ` +
			`a number in place of an object`,
		`{"base":{"fingerprint":[{"offset":0}]}}`: `JSON: "base.fingerprint.0": ` +
			`a sample without hash`,
		`{"base":{"fingerprint":[{"offset":0,"hash":7}]}}`: `JSON: "base.fingerprint.0.hash": ` +
			`a number in place of a string`,
		`{"base":{"fingerprint":[{"offset":0,"hash":"0"}]}}`: `JSON: "base.fingerprint.0": ` +
			`"0" is not 16 hexadecimal digits`,
		`{"created":"yesterday"}`: `JSON: "created": "yesterday" is not a time of RFC 3339, ` +
			`as 2026-01-02T03:04:05Z is`,
		`{"id":"x"}`: `JSON: "id": "x" is not a UUID of 36 characters`,
		`{"required_features":[7]}`: `JSON: "required_features": ` +
			`a number in place of a string`,
		`{"base":{"hash_seed":1},"base":{}}`: `JSON: the name "base" is there twice`,
		`{"x":{"y":1,"y":2}}`:                `JSON: the name "x.y" is there twice`,
		`{"id":x}`:                           `JSON: syntax error at byte 6 of the text`,
		`{"id":"`:                            `JSON: the text ends before it is complete`,
		`{`:                                  `JSON: the text ends before it is complete`,
		``:                                   `JSON: the text ends before it is complete`,
		`[]`:                                 `JSON: not an object`,
		`{} {}`:                              `JSON: syntax error at byte 3 of the text`,
		`{"x":` + nested(64) +
			`}`: `JSON: more than 64 objects and arrays in one another at byte 69`,
		`{"` + strings.Repeat(`\u001b[2J`, 999) + `":{"y":1,"y":2}}`: `JSON: the name "` +
			strings.Repeat(`\x1b[2J`, 25) + `" is there twice`,
	} {
		_, err := decodeHeader([]byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%.80s: %.300v, want %.200s", text, err, want)
		}
		if err != nil {
			vectortest.CheckMessage(t, err)
		}
	}
}
