package retention

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// What a file that can't be used may need stays: of the volumes that it may be of nothing goes.
func TestPlanBadFiles(t *testing.T) {
	header := func(text string) *format.Header { return &patch(text).Header }
	for name, tt := range map[string]struct {
		file archive.File
		want string // the volumes left alone
	}{
		"damaged, of V": {archive.File{Status: archive.Damaged, Header: header("x B>C")}, "V"},
		"of neither": {archive.File{Status: archive.Damaged, Header: header("x J>K of=Y")},
			""},
		"nobody knows": {archive.File{Status: archive.Unreadable}, "V W"},
		"truncated, of both": {archive.File{Status: archive.Truncated,
			Header: header("x F>B of=Z")}, "V W"},
		"an undo patch": {archive.File{Status: archive.Truncated, Header: header("x undo>A")},
			""},
		"no patch":  {archive.File{Path: "notes", Status: archive.Foreign}, ""},
		"no longer": {archive.File{Path: "x.lvmpatch", Status: archive.Foreign}, "V W"},
		"empty":     {archive.File{Path: "x", Status: archive.Unfinished}, "V W"},
		"of a run":  {archive.File{Path: ".x", Status: archive.Unfinished}, ""},
		"a copy":    {archive.File{Status: archive.Copy, Header: header("x A>B")}, ""},
		"no copy": {archive.File{Status: archive.Copy, Header: header("x A>B"),
			Err: archive.ErrAnother}, "V"},
		"of a clone": {archive.File{Status: archive.Newer, Header: header("x B>C of=Z")}, "V"},
	} {
		t.Run(name, func(t *testing.T) {
			a := archive.New([]*archive.Patch{patch("f >A"), patch("1 A>B"), patch("2 B>C"),
				patch("g >F of=W"), patch("3 F>G of=W")})
			tt.file.Path = cmp.Or(tt.file.Path, "bad")
			tt.file.Err = cmp.Or(tt.file.Err, errors.New("why"))
			a.Files = append(a.Files, tt.file)
			var alone []string
			for _, v := range New(a, Options{Policy: Policy{Last: 1}, Now: made("Z")}).Volumes {
				if len(v.Alone) > 0 {
					alone = append(alone, v.Name)
				}
				if (len(v.Alone) == 0) != (len(v.Steps) > 0) {
					t.Errorf("%s: %d steps", v.Name, len(v.Steps))
				}
			}
			if got := strings.Join(alone, " "); got != tt.want {
				t.Errorf("left alone: %q, want %q", got, tt.want)
			}
		})
	}
}

// Copies of what goes, go; those of what stays are left alone, and what a link may lead to stays.
func TestPlanCopies(t *testing.T) {
	for name, tt := range map[string]struct {
		copies []string // of f, 1, 2
		want   string
	}{
		"of what goes":         {[]string{"f >A", "1 A>B"}, "keep 2+3; merge f+1+2; copies 1'+f'; remove 1+f"},
		"of what takes others": {[]string{"2 B>C"}, "keep 2+3; merge f+1+2; copies 2'; remove 1+f"},
		"of what stays":        {[]string{"3 C>D"}, "keep 2+3; merge f+1+2; remove 1+f; left 3'"},
		"a link":               {[]string{"1 A>B link"}, "keep 1+2+3; left 1'"},
	} {
		t.Run(name, func(t *testing.T) {
			patches := []*archive.Patch{patch("f >A"), patch("1 A>B"), patch("2 B>C"), patch("3 C>D")}
			for _, text := range tt.copies {
				p := patch(text)
				p.Path += "'"
				patches = append(patches, p)
			}
			plan := New(archive.New(patches), Options{Policy: Policy{Last: 2}, Now: made("Z")})
			if got := told(plan); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
