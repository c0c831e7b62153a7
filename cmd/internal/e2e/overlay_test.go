package e2e

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// An overlaid bench has its image in the lower directory of an overlay.
type overlaid struct {
	*bench
	merged, upper, lower string // the image's names
}

func newOverlaid(t *testing.T) overlaid {
	b := newBench(t)
	dir := b.T.TempDir()
	b.sh("sh", "-c", `mkdir "$1/lower" && cp "$2" "$1/lower/image"`, "sh", dir, b.image)
	return overlaid{b, b.overlay(dir) + "/image", dir + "/upper/image", dir + "/lower/image"}
}

// copyUp makes the image that the overlay shows one of the upper directory.
func (o overlaid) copyUp() {
	f, err := os.OpenFile(o.merged, os.O_RDWR, 0)
	if err != nil {
		o.Fatal(err)
	}
	f.Close()
}

// Who uses a file by its name in the upper directory uses the one in the overlay.
func TestUsersOfOverlay(t *testing.T) {
	const writing, locked = "open for writing by bash", "is locked by another program"
	for _, test := range []struct {
		name    string
		use     func(o overlaid) (dest string)
		message string
	}{
		{"upper open for writing", func(o overlaid) string {
			o.held(`exec 3<>"$1"`,
				o.upper)
			return o.merged
		}, writing},
		{"merged open for writing", func(o overlaid) string {
			o.held(`exec 3<>"$1"`,
				o.merged)
			return o.upper
		}, writing},
		{"upper locked", func(o overlaid) string {
			o.flock(o.upper,
				unix.LOCK_EX)
			return o.merged
		}, locked},
		{"merged locked", func(o overlaid) string {
			o.flock(o.merged,
				unix.LOCK_EX)
			return o.upper
		}, "locked by e2e.test"},
		{"loop device of upper", func(o overlaid) string {
			dev, _ := o.loop(o.upper)
			o.mount(dev)
			return o.merged
		}, "mounted on "},
		{"loop device of merged", func(o overlaid) string {
			dev, _ := o.loop(o.merged)
			o.mount(dev)
			return o.upper
		}, "mounted on "},
		{"loop devices of both", func(o overlaid) string {
			one, _ := o.loop(o.merged)
			two, _ := o.loop(o.upper)
			o.mount(two)
			return one
		}, "mounted on "},
		{"upper locked beneath a loop device of merged", func(o overlaid) string {
			dev, _ := o.loop(o.merged)
			o.flock(o.upper, unix.LOCK_EX)
			return dev
		}, locked},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOverlaid(t)
			o.copyUp()
			dest := test.use(o)
			o.apply(1, test.message, o.full, dest)
			o.apply(0, "forced: ", "--force", o.full, dest)
		})
	}
}

// A lock that whoever started the program has handed on to it is no obstacle.
func TestLockOfOverlayForUs(t *testing.T) {
	for name, names := range map[string]func(o overlaid) (locked, dest string){
		"the same":        func(o overlaid) (string, string) { return o.merged, o.merged },
		"merged to upper": func(o overlaid) (string, string) { return o.merged, o.upper },
		"upper to merged": func(o overlaid) (string, string) { return o.upper, o.merged },
	} {
		t.Run(name, func(t *testing.T) {
			o := newOverlaid(t)
			o.copyUp()
			locked, dest := names(o)
			if status, messages := run(o.T, nil, "flock", locked, "lvmsync-apply", o.full,
				dest); status != 0 {
				t.Errorf("status %d: %s", status, messages)
			}
		})
	}
}

// Once a file is in the upper directory, the lower one of that name is another one.
func TestNoUsersOfOverlay(t *testing.T) {
	o := newOverlaid(t)
	dev, _ := o.loop(o.lower)
	o.mount(dev)
	o.held(`exec 3<>"$1"`, o.lower)
	o.flock(o.lower, unix.LOCK_EX)
	full, _ := o.bench.dump(o.lower)
	o.copyUp()
	o.apply(0, "", full, o.merged)
}

func TestSourceOfOverlay(t *testing.T) {
	for name, paths := range map[string]func(o overlaid) (source, dest string){
		"upper to merged": func(o overlaid) (string, string) {
			o.copyUp()
			return o.upper,
				o.merged
		},
		"merged to upper": func(o overlaid) (string, string) {
			o.copyUp()
			return o.merged,
				o.upper
		},
		"lower to merged": func(o overlaid) (string, string) { return o.lower, o.merged },
		"merged to lower": func(o overlaid) (string, string) { return o.merged, o.lower },
		"loop device of merged to upper": func(o overlaid) (string, string) {
			dev, _ := o.loop(o.merged)
			return dev, o.upper
		},
		"upper to loop device of merged": func(o overlaid) (string, string) {
			dev, _ := o.loop(o.merged)
			return o.upper, dev
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOverlaid(t)
			source, dest := paths(o)
			full, delta := o.bench.dump(source)
			const own = "the destination is the source of the patch"
			o.apply(1, own, full, dest)
			o.apply(1, own, "--force", "--no-check-base", delta, dest)
		})
	}
}
