package applycmd

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lvmsync/apply"
	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/storage"
)

// hints are all errors that have one.
var hints = map[string]struct {
	err  error
	hint string // what it begins with
}{
	"wrong base, part-way": {&apply.PartialError{Err: apply.ErrWrongBase},
		"the patch is not for this destination"},
	"lost, part-way": {&apply.PartialError{Err: apply.ErrLost, Undo: "u", Destination: "d"},
		"make the patch again"},
	"in doubt":      {&archive.SelectError{Err: archive.ErrDoubt}, "if you know which"},
	"two of a name": {&archive.SelectError{Err: archive.ErrAmbiguous}, "name one of the states"},
	"a state beyond a gap": {&archive.SelectError{Err: archive.ErrGap,
		Others: []*archive.Patch{{}}}, "add what is missing or damaged from a good copy; or name"},
	"no full patch": {&chainError{&archive.SelectError{Err: archive.ErrGap}, "x"},
		"add the full patch; a destination that holds what the first of them starts from takes"},
	"lost": {apply.ErrLost, "make the patch again"},
	"part-way, with undo": {&apply.PartialError{Err: unix.EIO, Undo: "u", Destination: "d"},
		"mend the cause and apply again"},
	"part-way, resumable": {&apply.PartialError{Err: unix.EIO, Durable: true, Resumable: true,
		Through: 512}, "mend the cause and apply the patch again"},
	"part-way": {&apply.PartialError{Err: unix.EIO},
		"mend the cause and apply again"},
	"wrong order": {&apply.OrderError{Reason: "x", Fits: []string{"a", "b"}},
		"by names and times they would fit in this order: a b"},
	"wrong order by clock": {&apply.OrderError{Reason: "x", Clock: true},
		"add the patches that are missing"},
	"twice": {&apply.OrderError{After: "b", Reason: "x", Twice: "a"},
		"name each patch once: a and b are the same"},
	"smaller": {&apply.OrderError{After: "b", Reason: "x", Smaller: true}, "none is missing"},
	"a patch is missing": {&apply.OrderError{Reason: "x"},
		"add the patches that are missing, the oldest first"},
	"undo patch is there": {apply.ErrUndoExists, "choose another name"},
	"in use":              {apply.ErrInUse, "check the destination's name"},
	"own source":          {apply.ErrRestore, "check the destination's name; to restore"},
	"a delta's source": {apply.ErrOwnSource,
		"check the destination's name: only a full patch by itself"},
	"damaged undo patch": {&apply.DamagedUndoError{Err: format.ErrCorrupt},
		"use a good copy of it; --force takes back what is whole"},
	"wrong base of an undo": {&apply.BaseError{Undo: true},
		"apply the undo patches of later runs before it"},
	"one by one": {&apply.AloneError{OneByOne: []string{"a", "-b"},
		Err: format.ErrTruncated}, "one by one they can be used, in this order: a && ./-b"},
	"volume as LVM names it": {&volumeError{apply.ErrMissing, "/dev/no such/lv"},
		"as a destination a logical volume is named by its device, which would be '/dev/no " +
			"such/lv', but is not there"},
	"too small": {apply.ErrTooSmall, "check the destination's name"},
	"too small, a file": {&apply.TooSmallError{Destination: "my disk", Size: 512,
		Volume: 1024}, "check the destination's name, or make it larger: truncate -s 1024 'my " +
		"disk'"},
	"too small, a device": {&apply.TooSmallError{Destination: "/dev/vg/lv", IsDevice: true,
		Volume: 1024}, "check the destination's name, or make it larger, if it is a logical " +
		"volume by: lvextend -L 1024b /dev/vg/lv"},
	"wrong base, way back": {&apply.PartialError{Err: apply.ErrWrongBase, Undo: "u",
		Destination: "d"}, "the patch is not for this destination: go back: lvmsync-apply u d; " +
		"with --spool"},
	"a patch as destination": {apply.ErrIsPatch,
		"name the device or image file to write to behind the patches"},
	"not raw":            {apply.ErrNotRaw, "name a device, or a raw image"},
	"missing":            {apply.ErrNotCreated, "check the name; --create makes"},
	"missing device":     {apply.ErrMissing, "check the name"},
	"needs a full patch": {apply.ErrNeedsFull, "apply a full patch first"},
	"wrong base":         {apply.ErrWrongBase, "apply the patches in between first"},
	"full disk":          {unix.ENOSPC, "free some space"},
	"no patch":           {format.ErrNotPatch, "patches are made by lvmsync-dump"},
	"truncated":          {format.ErrTruncated, "the sender stopped early"},
	"corrupt": {&format.CorruptError{Part: "segment", Err: errors.New("x")},
		"copy or send the patch again"},
	"newer format":  {format.ErrVersion, "install a newer lvmsync"},
	"newer feature": {format.ErrFeature, "install a newer lvmsync"},
	"no sysfs":      {storage.ErrNoSysfs, "mount -t sysfs"},
	"no proc":       {storage.ErrNoProc, "mount -t proc"},
	"permission":    {fs.ErrPermission, ""},
	"anything else": {errors.New("x"), ""},
}

// Nothing is proposed that destroys what may be a backup, or that overrules what protects one, but
// for what somebody wants who restores one; then it is said what it costs.
func TestHints(t *testing.T) {
	overrule := regexp.MustCompile(
		`--(force|allow-smaller|no-check-base|accept-lost-sectors|trust-order)`)
	may := map[string]string{
		"--force":               "own source|damaged undo patch",
		"--no-check-base":       "wrong base",
		"--accept-lost-sectors": "lost",
		"--trust-order":         "wrong order by clock",
	}
	for name, tt := range hints {
		t.Run(name, func(t *testing.T) {
			got := hint(fmt.Errorf("about something: %w", tt.err))
			if !strings.HasPrefix(got, tt.hint) || tt.hint == "" && name != "permission" &&
				got != "" {
				t.Errorf("%q, want %q", got, tt.hint)
			}
			for _, option := range overrule.FindAllString(got, -1) {
				if may[option] == "" || !regexp.MustCompile("^("+
					may[option]+")").MatchString(name) {
					t.Errorf("proposes %s: %q", option, got)
				}
			}
		})
	}
}

// What takes the destination back can be pasted, whatever the files are called.
func TestGoBackPasted(t *testing.T) {
	for _, cause := range []error{unix.EIO, apply.ErrLost} {
		got := hint(&apply.PartialError{Err: cause, Undo: "-it's a way",
			Destination: "/srv/my disk.img"})
		const want = `go back: lvmsync-apply './-it'\''s a way' '/srv/my disk.img'`
		if !strings.HasSuffix(got, want) {
			t.Errorf("%q, want %q at its end", got, want)
		}
	}
	got := hint(&apply.OrderError{Reason: "x", Fits: []string{"monday evening", "$x", "-q"}})
	if want := "by names and times they would fit in this order: " +
		"'monday evening' '$x' ./-q"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
