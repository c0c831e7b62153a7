//go:build lvm

package lvmtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A lab has volumes of which each can have a program that has written to it and not flushed.
type lab struct {
	vg      string
	writers map[string]*os.File // by volume
	writes  int64
}

func (l *lab) path(name string) string { return "/dev/" + l.vg + "/" + name }

// A route is a way to dump: what the destination holds before it and after, and which volumes are
// read.
type route struct {
	name     string
	args     []string // of lvmsync-dump
	from, to string   // volumes; from "": it doesn't matter
	reads    []string // volumes
}

// writeLater has a program write to each volume, in a part of it where nothing was written before,
// and keep it in memory. It returns what each volume holds, that included.
func (l *lab) writeLater(t *testing.T, volumes []string) map[string][]byte {
	t.Helper()
	contents := make(map[string][]byte)
	for _, v := range volumes {
		contents[v] = whole(t, l.path(v))
	}
	for _, v := range volumes {
		if l.writers[v] == nil {
			f, err := os.OpenFile(l.path(v), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			l.writers[v] = f
		}
		b := make([]byte, 512)
		rand.NewChaCha8([32]byte{byte(l.writes), 5}).Read(b)
		off := l.writes*64*kib + 4*kib
		l.writes++
		if _, err := l.writers[v].WriteAt(b, off); err != nil {
			t.Fatal(err)
		}
		copy(contents[v][off:], b)
	}
	return contents
}

// check dumps and applies.
func (l *lab) check(t *testing.T, r route, volumes []string) {
	t.Helper()
	contents := l.writeLater(t, volumes)
	dest := l.path("dest")
	put(t, dest, contents[volumes[0]])
	if r.from != "" {
		put(t, dest, contents[r.from])
	}
	d := run(t, nil, "lvmsync-dump", r.args...)
	d.want(t, 0, "")
	for _, v := range r.reads {
		if !strings.Contains(d.stderr, l.path(v)+" is open for writing by lvmtest.test") &&
			!strings.Contains(d.stderr, "/dev/mapper/"+l.vg+"-"+
				v+" is open for writing by lvmtest.test") {
			t.Errorf("nobody says that %s is open for writing:\n%s", v, d.stderr)
		}
	}
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	if !bytes.Equal(whole(t, dest), contents[r.to]) {
		t.Errorf("the destination does not hold what was written to %s before the dump", r.to)
	}
}

// snapshotRoutes are all ways to dump snapshots s1 and s2 of an origin.
func snapshotRoutes(vg string) (routes []route) {
	s1, s2 := vg+"/s1", vg+"/s2"
	for _, exact := range []bool{false, true} {
		for _, r := range []route{
			{"changes", []string{s1}, "s1", "origin", []string{"origin", "s1"}},
			{"to", []string{"--to", s2, s1}, "s1", "s2", []string{"s1", "s2"}},
			{"reverse", []string{"--reverse", s1}, "origin", "s1", []string{"origin", "s1"}},
		} {
			if exact {
				r.name, r.args = r.name+" exact", append(r.args, "--exact-base")
			}
			routes = append(routes, r)
		}
	}
	return append(routes,
		route{"full snapshot", []string{"--full", s1}, "", "s1", []string{"s1"}},
		route{"full origin", []string{"--full", vg + "/origin"}, "", "origin", []string{"origin"}},
		route{"base", []string{"--base", s1, s2}, "s1", "s2", []string{"s1", "s2"}})
}

// Whatever is dumped, and by whatever option, has what programs have written to any of the devices
// that are read and still keep in memory, and each of them is named.
func TestBufferedWriters(t *testing.T) {
	const volume = 8 * mib
	volumes := []string{"origin", "s1", "s2"}
	for kind, prepare := range map[string]func(t *testing.T) *lab{
		"thick": func(t *testing.T) *lab {
			vg := newVG(t, "thicks", 1)
			origin := plain(t, vg, "origin", volume)
			fill(t, origin, 1)
			for i, s := range []string{"s1", "s2"} {
				thickSnapshot(t, vg, s, "4k")
				poke(t, origin, byte(i+2), volume-512-int64(i)*mib)
			}
			return &lab{vg: vg}
		},
		"thin": func(t *testing.T) *lab {
			newPool(t, "thins", "64k", "64m")
			origin := newThin(t, "thins", "origin", volume)
			fill(t, origin, 1)
			for i, s := range []string{"s1", "s2"} {
				thinSnapshot(t, "thins", "origin", s)
				sh(t, "lvchange", "-ay", "-K", "thins/"+s)
				poke(t, origin, byte(i+2), volume-512-int64(i)*mib)
			}
			return &lab{vg: "thins"}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			l := prepare(t)
			l.writers = make(map[string]*os.File)
			plain(t, l.vg, "dest", volume)
			for _, r := range snapshotRoutes(l.vg) {
				t.Run(r.name, func(t *testing.T) {
					l.writers = make(map[string]*os.File) // those of the one before are closed
					l.check(t, r, volumes)
				})
			}
			t.Run("signature", func(t *testing.T) {
				l.writers = make(map[string]*os.File)
				l.checkSignature(t)
			})
		})
	}
}

// checkSignature makes the signature of one snapshot and dumps what has changed to the other.
func (l *lab) checkSignature(t *testing.T) {
	contents := l.writeLater(t, []string{"s1", "s2"})
	dest := l.path("dest")
	put(t, dest, contents["s1"])
	sig := run(t, nil, "lvmsync-patch", "signature", l.path("s1"))
	sig.want(t, 0, l.path("s1")+" is open for writing by lvmtest.test")
	d := run(t, strings.NewReader(sig.stdout), "lvmsync-dump", "--signature", "-", l.path("s2"))
	d.want(t, 0, l.path("s2")+" is open for writing by lvmtest.test")
	applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
	if !bytes.Equal(whole(t, dest), contents["s2"]) {
		t.Error("the destination does not hold what was written before the dump")
	}
}

// A store that is read directly, that of a live snapshot and a copy, and its origin: with programs
// that have written to the origin, the snapshot that stands on the store, and the copy.
func TestBufferedWritersOfStore(t *testing.T) {
	const volume = 8 * mib
	vg := newVG(t, "stores", 1)
	origin := plain(t, vg, "origin", volume)
	fill(t, origin, 1)
	thickSnapshot(t, vg, "s1", "4k")
	poke(t, origin, 2, volume-512)
	plain(t, vg, "dest", volume)
	live := dmDevice(t, "stores-s1-cow")
	l := &lab{vg: vg, writers: make(map[string]*os.File)}
	l.check(t, route{"live", []string{"--cow", live, origin}, "s1", "origin", []string{"origin"}},
		[]string{"origin", "s1"})
	if t.Failed() {
		return
	}

	// The copy is written by a program that keeps it in memory, and all is at rest beneath.
	before := whole(t, l.path("s1"))
	sh(t, "blockdev", "--flushbufs", origin)
	image := whole(t, live)
	copied := plain(t, vg, "copied", int64(len(image)))
	now := whole(t, origin)
	f, err := os.OpenFile(copied, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(image, 0); err != nil {
		t.Fatal(err)
	}
	put(t, l.path("dest"), before)
	d := run(t, nil, "lvmsync-dump", "--cow", copied, origin)
	d.want(t, 0, "the COW store "+copied+" is open for writing by lvmtest.test")
	applyPatch(t, []byte(d.stdout), l.path("dest")).want(t, 0, "")
	if !bytes.Equal(whole(t, l.path("dest")), now) {
		t.Error("the destination does not hold what the origin does")
	}
	// The old content is in a store only as long as nobody writes to it.
	for _, args := range [][]string{{"--exact-base", origin}, {"--reverse", origin},
		{"--reverse"}} {
		run(t, nil, "lvmsync-dump", append([]string{"--cow", copied}, args...)...).want(t, 1,
			"is open for writing by lvmtest.test")
	}
}

// A snapshot that is mounted and written to is dumped with all of its files, and it is told that it
// is mounted.
func TestMountedSnapshot(t *testing.T) {
	for kind, prepare := range map[string]func(t *testing.T) (vg string){
		"thick": func(t *testing.T) string {
			vg := newVG(t, "thickfs", 1)
			sh(t, "mkfs.ext4", "-q", plain(t, vg, "origin", 32*mib))
			thickSnapshot(t, vg, "s1", "4k")
			thickSnapshot(t, vg, "s2", "4k")
			return vg
		},
		"thin": func(t *testing.T) string {
			newPool(t, "thinfs", "64k", "128m")
			sh(t, "mkfs.ext4", "-q", newThin(t, "thinfs", "origin", 32*mib))
			for _, s := range []string{"s1", "s2"} {
				thinSnapshot(t, "thinfs", "origin", s)
				sh(t, "lvchange", "-ay", "-K", "thinfs/"+s)
			}
			return "thinfs"
		},
	} {
		t.Run(kind, func(t *testing.T) {
			vg := prepare(t)
			dest := plain(t, vg, "dest", 32*mib)
			for _, r := range []route{
				{"to", []string{"--to", vg + "/s2", vg + "/s1"}, "s1", "s2", nil},
				{"reverse", []string{"--reverse", vg + "/s2"}, "origin", "s2", nil},
				{"full", []string{"--full", vg + "/s2"}, "s1", "s2", nil},
			} {
				t.Run(r.name, func(t *testing.T) {
					put(t, dest, whole(t, "/dev/"+vg+"/"+r.from))
					mnt := mount(t, "/dev/"+vg+"/s2")
					text := strings.Repeat("new "+r.name, 50_000)
					if err := os.WriteFile(filepath.Join(mnt, r.name), []byte(text),
						0o600); err != nil {
						t.Fatal(err)
					}
					d := run(t, nil, "lvmsync-dump", r.args...)
					d.want(t, 0, fmt.Sprintf("is mounted on %s (ext4, rw)", mnt))
					applyPatch(t, []byte(d.stdout), dest).want(t, 0, "")
					if got := sh(t, "debugfs", "-R", "cat /"+r.name, dest); got != text {
						t.Errorf("the file has %d bytes in the copy, want %d", len(got), len(text))
					}
				})
			}
		})
	}
}
