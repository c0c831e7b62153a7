//go:build lvm

package lvmtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lvmsync/format"
)

// header is what a patch in a file says of itself.
func header(t *testing.T, patch string) format.Header {
	t.Helper()
	f, err := os.Open(patch)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, _, err := format.Verify(f)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// wantNames checks which volume and snapshot a patch says that it is about, and whether it leads to
// that snapshot.
func wantNames(t *testing.T, patch, lv, snapshot string, state bool) {
	t.Helper()
	h := header(t, patch)
	if h.Source.LV != lv || h.Source.Snapshot != snapshot || (h.State != nil) != state ||
		state && h.State.Snapshot != h.Source.SnapshotUUID {
		t.Errorf("%s: volume %q, snapshot %q, leads to %+v; want %q, %q, %v", filepath.Base(patch),
			h.Source.LV, h.Source.Snapshot,
			h.State, lv, snapshot, state)
	}
}

// wantChain checks that verify and apply take the patches, with that warning, and what they give.
func wantChain(t *testing.T, sumOf, warning string, patches ...string) {
	t.Helper()
	run(t, nil, "lvmsync-patch", append([]string{"verify"}, patches...)...).want(t, 0, warning)
	image := filepath.Join(t.TempDir(), "image")
	r := run(t, nil, "lvmsync-apply", append(append([]string{"--create"}, patches...), image)...)
	r.want(t, 0, warning)
	if told := strings.ReplaceAll(r.stderr, "warning: "+image+" is kept in memory",
		""); strings.Contains(told, "warning: ") != (warning != "") {
		t.Errorf("want the warning %q only, got:\n%s", warning, r.stderr)
	}
	if r.status == 0 && sum(t, image, 0) != sumOf {
		t.Errorf("%v do not give what the volume held", patches)
	}
}

// wantRefused checks that neither takes them.
func wantRefused(t *testing.T, reason string, patches ...string) {
	t.Helper()
	run(t, nil, "lvmsync-patch", append([]string{"verify"}, patches...)...).want(t, 5, reason)
	run(t, nil, "lvmsync-apply", append(append([]string{"--create"}, patches...),
		filepath.Join(t.TempDir(), "image"))...).want(t, 5, reason)
}

// nextSecond waits until LVM gives what it makes a later date than what is there.
func nextSecond() {
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second).Sub(now))
}

// Which volume a patch is about, and so which patches follow one another, for all that a thin
// volume with an origin can be.
func TestVolumeOfClone(t *testing.T) {
	const (
		size    = 2*mib + 20*kib
		between = "if the volume was in use between"
	)
	newPool(t, "clones", "64k", "128m")
	external(t, "clones", "base", size, func(path string) { fill(t, path, 1) })
	template := newThin(t, "clones", "template", size)
	fill(t, template, 2)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "clone", "clones/template")
	onExternal(t, "clones", "onbase", "base")
	newThin(t, "clones", "plain", size)
	dump := func(name string, args ...string) string {
		return file(t, name, []byte(run(t, nil, "lvmsync-dump", args...).stdout))
	}
	ofTemplate := dump("template", "--full", "clones/template")
	thinSnapshot(t, "clones", "template", "st")
	poke(t, template, 9, 512*kib)
	sinceTemplate := dump("since-template", "clones/st")

	for i, name := range []string{"plain", "clone", "onbase"} {
		t.Run(name, func(t *testing.T) {
			volume, seed := "/dev/clones/"+name, byte(10*i)
			poke(t, volume, seed, 0, 300*kib)
			live := dump("live", "--full", "clones/"+name)
			wantNames(t, live, name, "", false)
			snap := "snap" + name
			thinSnapshot(t, "clones", name, snap)
			ofSnap := dump("snap", "--full", "clones/"+snap)
			wantNames(t, ofSnap, name, snap, true)
			poke(t, volume, seed+1, 300*kib, 1*mib)
			nextSecond()
			later := dump("later", "--full", "clones/"+name)
			poke(t, volume, seed+2, 512, 1*mib)
			now := sum(t, volume, 0)
			delta, exact := dump("delta", "clones/"+snap),
				dump("exact", "--exact-base", "clones/"+snap)
			wantNames(t, delta, name, snap, false)
			wantChain(t, now, between, live, delta)
			wantChain(t, now, "", ofSnap, delta)
			wantChain(t, now, "", ofSnap, exact)
			wantChain(t, now, "", later, delta)
			wantRefused(t, "exactly, and the one before leads past it", later, exact)
			wantRefused(t, "of different volumes", ofTemplate, delta)
			wantRefused(t, "of different volumes", live, sinceTemplate)

			// A thick snapshot of it.
			nextSecond()
			thick := "thick" + name
			sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-l", "110%ORIGIN", "-n", thick,
				"clones/"+name)
			holder := hold(t, "/dev/clones/"+thick, 0)
			wantNames(t, dump("busy", "--full", "clones/"+thick), thick, "", false)
			holder.Close()
			ofThick := dump("thick", "--full", "clones/"+thick)
			wantNames(t, ofThick, name, thick, true)
			poke(t, volume, seed+3, 64*kib, 2*mib)
			now = sum(t, volume, 0)
			sinceThick := dump("since-thick", "clones/"+thick)
			wantNames(t, sinceThick, name, thick, false)
			wantChain(t, now, "", ofThick, sinceThick)
			older := dump("older", "clones/"+snap)
			if name == "onbase" { // all of it: what isn't mapped may be read from elsewhere
				wantChain(t, now, "only the clock says", ofThick, older)
			} else {
				wantRefused(t, "where the one before does not lead", ofThick, older)
			}
			wantRefused(t, "a patch between them is missing", ofSnap, sinceThick)
			sh(t, "lvremove", "-qq", "-y", "clones/"+thick)

			// A snapshot of the snapshot, which is a volume then.
			second := "second" + name
			thinSnapshot(t, "clones", snap, second)
			ofSecond := dump("second", "--full", "clones/"+second)
			wantNames(t, ofSecond, snap, second, true)
			sh(t, "lvchange", "-qq", "-ay", "-K", "clones/"+snap)
			poke(t, "/dev/clones/"+snap, seed+4, 700*kib)
			now = sum(t, "/dev/clones/"+snap, 0)
			nextSecond()
			ofVolume := dump("written", "--full", "clones/"+snap)
			wantNames(t, ofVolume, snap, "", false)
			sinceSecond := dump("since-second", "clones/"+second)
			wantNames(t, sinceSecond, snap, second, false)
			wantChain(t, now, "", ofSecond, sinceSecond)
			wantChain(t, now, "does not tell that what the one before brought was noted",
				dump("second", "--full", "clones/"+second), sinceSecond)
			// at rest then, and the volume of this one
			wantChain(t, now, between, ofSnap, sinceSecond)
			wantChain(t, now, "", ofVolume, sinceSecond)
			wantRefused(t, "of different volumes", live, sinceSecond)
			// As what it was made as, it can have been written to in between.
			wantChain(t, sum(t, volume, 0), "as that was later", ofVolume,
				dump("back", "clones/"+snap))
		})
	}
}

// What --to leads from and to. A volume in use is no state, whatever it was made as; two that
// aren't snapshots of one origin follow nothing but themselves.
func TestVolumeOfTo(t *testing.T) {
	const size = 2 * mib
	newPool(t, "to", "64k", "64m")
	origin := newThin(t, "to", "origin", size)
	dump := func(name string, args ...string) string {
		return file(t, name, []byte(run(t, nil, "lvmsync-dump", args...).stdout))
	}
	poke(t, origin, 1, 0, 1*mib)
	thinSnapshot(t, "to", "origin", "s1")
	full := dump("full", "--full", "to/s1")
	poke(t, origin, 2, 64*kib, 1*mib)
	live := dump("live", "--full", "to/origin")
	sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", "s2", "to/origin")
	one := dump("one", "--exact-base", "--to", "to/s2", "to/s1")
	wantWay(t, one, "origin", "s1", "s2")
	poke(t, origin, 3, 128*kib, 1*mib)
	thinSnapshot(t, "to", "origin", "s3")
	two := dump("two", "--exact-base", "--to", "to/s3", "to/s2")
	sh(t, "lvchange", "-qq", "-ay", "-K", "to/s3")
	s3 := sum(t, "/dev/to/s3", 0)
	wantChain(t, s3, "", full, one, two)

	// What has it open for writing may write.
	holder := hold(t, "/dev/to/s3", 512*kib)
	wantWay(t, dump("busy", "--to", "to/s3", "to/s2"), "origin", "s2", "")
	wantWay(t, dump("busy", "--reverse", "to/s3"), "origin", "s3", "")
	holder.Close()
	wantWay(t, dump("origin", "--to", "to/origin", "to/s2"), "origin", "s2", "")

	// A snapshot of a snapshot holds nothing of what was written to the origin since.
	thinSnapshot(t, "to", "s1", "side")
	aside := dump("aside", "--to", "to/side", "to/s1")
	wantWay(t, aside, "s1", "s1", "side")
	wantRefused(t, "of different volumes", live, aside)
	sh(t, "lvchange", "-qq", "-ay", "-K", "to/side")
	wantChain(t, sum(t, "/dev/to/side", 0), "", full, aside)
	// The way from a volume to its snapshot is about that volume, and the snapshot is at rest.
	wantWay(t, dump("back", "--to", "to/s1", "to/origin"), "origin", "", "s1")
}

// wantWay checks the same of a patch that leads from one volume to another.
func wantWay(t *testing.T, patch, lv, snapshot, state string) {
	t.Helper()
	h := header(t, patch)
	got := ""
	if h.State != nil {
		got = h.State.Snapshot
	}
	want := ""
	if state != "" {
		want = strings.TrimSpace(sh(t, "lvs", "--noheadings", "-o", "lv_uuid", h.Source.VG+"/"+
			state))
	}
	if h.Source.LV != lv || h.Source.Snapshot != snapshot || got != want {
		t.Errorf("%s: volume %q, snapshot %q, leads to %q; want %q, %q, %q", filepath.Base(patch),
			h.Source.LV, h.Source.Snapshot,
			got, lv, snapshot, want)
	}
}
