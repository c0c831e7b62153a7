//go:build lvm

package lvmtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/format"
)

// setClock sets the clock of the guest by so much. At the end of the test it goes right again.
func setClock(t *testing.T, by time.Duration) {
	t.Helper()
	if b, _ := os.ReadFile("/proc/cmdline"); !strings.Contains(string(b), "guest.nonce=") {
		t.Skip("the clock is not ours to set outside of the guest")
	}
	set := func(by time.Duration) {
		now := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
		if err := unix.Settimeofday(&now); err != nil {
			t.Fatal(err)
		}
	}
	set(by)
	t.Cleanup(func() { set(-by) })
}

// dumpTo dumps into a file of dir.
func dumpTo(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	run(t, nil, "lvmsync-dump", append([]string{"-o", path}, args...)...).want(t, 0, "")
	return path
}

// The clock is set back between a snapshot and what is dumped from it: the patch that is left out
// is missed, and patches that fit by name are taken, whatever the clock says.
func TestClockSetBack(t *testing.T) {
	for _, kind := range []string{"thick", "thin"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			var origin string
			snapshot := func(name string) { thickSnapshot(t, "clock", name, "4k") }
			if kind == "thin" {
				newPool(t, "clock", "64k", "40m")
				origin = newThin(t, "clock", "origin", 4*mib)
				snapshot = func(name string) { thinSnapshot(t, "clock", "origin", name) }
			} else {
				newVG(t, "clock", 1)
				origin = plain(t, "clock", "origin", 4*mib)
			}
			dest := plain(t, "clock", "dest", 4*mib)
			fill(t, origin, 1)
			snapshot("s1")
			at1 := whole(t, origin)
			setClock(t, -time.Hour)
			full := filepath.Join(dir, "full")
			run(t, nil, "lvmsync-dump", "-o", full, "--full", "clock/s1").want(t, 0,
				"the clock was set back since the snapshot was made")
			change(t, origin, 2, 30, 0)
			snapshot("s2")
			at2 := whole(t, origin)
			change(t, origin, 3, 30, 0)
			now := whole(t, origin)

			delta := dumpTo(t, dir, "delta", "clock/s2")
			between := filepath.Join(dir, "between")
			run(t, nil, "lvmsync-dump", "-o", between, "--to", "clock/s2", "clock/s1").want(t, 0,
				"clock/s2 is older than clock/s1, if the clock was right")
			since1 := dumpTo(t, dir, "since1", "clock/s1")
			back := dumpTo(t, dir, "back", "--to", "clock/s1", "clock/s2")

			put(t, dest, at1)
			run(t, nil, "lvmsync-apply", full, delta, dest).want(t, 5, delta+" does not follow "+
				full+": it starts from snapshot clock/s2, "+
				map[string]string{"thick": "made after where the one before leads: a patch " +
					"between them is missing", "thin": "where the one before does not lead"}[kind])
			wantContent(t, dest, "what it did", at1)
			for name, chain := range map[string][]string{"with the one between": {full, between,
				delta}, "since the first": {full, since1}} {
				t.Run(name, func(t *testing.T) {
					put(t, dest, at1)
					run(t, nil, "lvmsync-apply", append(chain, dest)...).want(t, 0, "")
					wantContent(t, dest, "what the origin does", now)
				})
			}
			put(t, dest, at1)
			run(t, nil, "lvmsync-apply", full, between, back, dest).want(t, 0, "")
			wantContent(t, dest, "what the first snapshot does", at1)
			put(t, dest, at2)
			run(t, nil, "lvmsync-apply", back, dest).want(t, 0, "")
			wantContent(t, dest, "what the first snapshot does", at1)
		})
	}
}

// The clock is set back between a dump of a volume at rest and the next snapshot: nothing but times
// links the two, and the machine's own time since it was started shows that those are wrong.
// Whoever knows better says so.
func TestClockSetBackAtRest(t *testing.T) {
	newVG(t, "rest", 1)
	dir := t.TempDir()
	origin, dest := plain(t, "rest", "origin", 2*mib), plain(t, "rest", "dest", 2*mib)
	fill(t, origin, 1)
	before := whole(t, origin)
	full := dumpTo(t, dir, "full", "--full", origin)
	setClock(t, -time.Hour)
	thickSnapshot(t, "rest", "snap", "4k")
	change(t, origin, 2, 30, 0)
	delta := dumpTo(t, dir, "delta", "rest/snap")
	f, d := headerOf(t, full), headerOf(t, delta)
	passed := time.Duration(d.Source.Uptime-f.Source.Uptime) * time.Millisecond
	if by := d.Created.Sub(f.Created) - passed; f.Source.BootID == "" || f.Source.Uptime <= 0 ||
		passed <= 0 || by > -time.Hour+time.Minute || by < -time.Hour-time.Minute {
		t.Errorf("the headers show that the clock was set by %v: %+v, %+v", by, f, d)
	}

	put(t, dest, before)
	r := run(t, nil, "lvmsync-apply", full, delta, dest)
	r.want(t, 5, "can't be told: the clock was set back by 1h0m0s between them")
	r.want(t, 5, "--trust-order")
	wantContent(t, dest, "what it did", before)
	run(t, nil, "lvmsync-apply", "--trust-order", full, delta, dest).want(t, 0,
		"taken on your word: ")
	wantSame(t, origin, dest)
}

// The clock is wrong only while a snapshot is made: all patches are dated rightly. Which snapshots
// there were when a patch was dumped tells which of two is newer.
func TestClockWrongAtSnapshot(t *testing.T) {
	newVG(t, "moment", 1)
	dir := t.TempDir()
	origin, dest := plain(t, "moment", "origin", 2*mib), plain(t, "moment", "dest", 2*mib)
	fill(t, origin, 1)
	thickSnapshot(t, "moment", "s1", "4k")
	full, live := dumpTo(t, dir, "full", "--full", "moment/s1"),
		dumpTo(t, dir, "live", "--full", origin)
	change(t, origin, 2, 30, 0)
	t.Run("snapshot", func(t *testing.T) {
		setClock(t, -time.Hour)
		thickSnapshot(t, "moment", "s2", "4k")
	})
	change(t, origin, 3, 30, 0)
	delta := dumpTo(t, dir, "delta", "moment/s2")
	run(t, nil, "lvmsync-apply", full, delta, dest).want(t, 5,
		"it starts from snapshot moment/s2, made after where the one before leads: a patch "+
			"between them is missing")
	run(t, nil, "lvmsync-patch", "verify", live, delta).want(t, 5, // by the sample
		"it starts from snapshot moment/s2, made after the one before was dumped: if the volume "+
			"was in use between, something is missing")
	run(t, nil, "lvmsync-apply", full, dumpTo(t, dir, "since1", "moment/s1"), dest).want(t, 0, "")
	wantSame(t, origin, dest)
}

// headerOf is the header of a patch in a file.
func headerOf(t *testing.T, path string) format.Header {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := format.NewReader(f, format.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := r.Header()
	text, _ := json.Marshal(h)
	t.Logf("%s: %s", path, text)
	return h
}
