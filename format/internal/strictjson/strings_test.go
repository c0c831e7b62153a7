package strictjson

import (
	"encoding/json"
	"slices"
	"testing"
)

// A list of strings is what it is for other readers of JSON, or else an error.
func FuzzStrings(f *testing.F) {
	for _, text := range []string{`[]`, `null`, ` [ "a" , "b\"]" ,"\\", "\u00e9\n", "", "é" ] `,
		`["a",]`, `["a" "b"]`, `[",,,,,,,,,,,,,,,,"]`,
		`["\",\",\",\",\",\",\","]`, `["a",1]`, `["\ud800"]`, `["\x"]`, `[["a"]]`, `"a"`, `{}`, `["`, `[null]`,
		"[\"\xff\"]", "[\"a\tb\"]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got struct {
			List []string `json:"list"`
		}
		var want struct {
			List []*string `json:"list"`
		}
		text = `{"list":` + text + `}`
		err := Decode([]byte(text), &got)
		if err != nil {
			return
		}
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatalf("%q is taken, though: %v", text, err)
		}
		var list []string
		for _, s := range want.List {
			if s == nil {
				t.Fatalf("%q is taken", text)
			}
			list = append(list, *s)
		}
		if most := len(text)/3 + 1; cap(got.List) > most { // as of empty strings, with their commas
			t.Errorf("%q: room for %d strings, more than %d", text, cap(got.List), most)
		}
		if !slices.Equal(got.List, list) {
			t.Errorf("%q: %q, want %q", text, got.List, list)
		}
	})
}
