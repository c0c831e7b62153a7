package patchcmd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lvmsync/apply"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/volume"
)

func TestHints(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		hint string
	}{
		"wrong order": {&apply.OrderError{Reason: "x", Fits: []string{"a b", "-c"}},
			"by names and times they would fit in this order: 'a b' ./-c"},
		"wrong order by clock": {&apply.OrderError{Reason: "x", Clock: true},
			"add the patches that are missing, the oldest first; if you know better than the " +
				"clock"},
		"a patch is missing": {&apply.OrderError{Reason: "x"},
			"add the patches that are missing, the oldest first"},
		"damaged undo": {&apply.DamagedUndoError{Err: format.ErrCorrupt},
			"use a good copy of it; lvmsync-apply --force takes back what is whole of it"},
		"one by one": {&apply.AloneError{OneByOne: []string{"a", "b"},
			Err: format.ErrTruncated}, "one by one they can be used, in this order: a && b"},
		"wrong base":    {apply.ErrWrongBase, "a patch between them is missing"},
		"in doubt":      {&archive.SelectError{Err: archive.ErrDoubt}, "choose with --state one"},
		"lost":          {volume.ErrLost, "lvmsync-dump --base compares with the archive"},
		"truncated":     {format.ErrTruncated, "the sender stopped early"},
		"anything else": {errors.New("x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := hint(fmt.Errorf("about something: %w", tt.err))
			if !strings.HasPrefix(got, tt.hint) || tt.hint == "" && got != "" ||
				strings.Contains(got, "--trust-order") != (name == "wrong order by clock") {
				t.Errorf("%q, want %q", got, tt.hint)
			}
		})
	}
}
