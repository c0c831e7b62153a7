//go:build lvm

package lvmtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What is no thick snapshot is refused with a reason.
func TestNoSnapshot(t *testing.T) {
	vg := newVG(t, "refuse", 1)
	plain(t, vg, "origin", 2*mib)
	plain(t, vg, "plain", 2*mib)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "1m", "-n", "snap", vg+"/origin")
	sh(t, "lvcreate", "-qq", "-y", "-c", "64k", "-L", "8m", "-T", "refuse/pool")
	sh(t, "lvcreate", "-qq", "-y", "-V", "2m", "-T", "refuse/pool", "-n", "thin")
	plain(t, vg, "inactive", 2*mib)
	sh(t, "lvchange", "-qq", "-an", "refuse/inactive")
	sh(t, "lvcreate", "-qq", "-y", "-c", "64k", "-L", "4m", "-T", "refuse/idlepool")
	sh(t, "lvchange", "-qq", "-an", "refuse/idlepool")
	for name, message := range map[string]string{
		"refuse/plain": "refuse/plain: not a thick snapshot: it is a volume of " +
			"type linear",
		"refuse/origin": "refuse/origin: not a thick snapshot: it is the origin " +
			"of one",
		"refuse/thin":                "refuse/thin: not a snapshot of a thin volume",
		"refuse/missing":             "no such logical volume, device or file: refuse/missing",
		"refuse/inactive":            "lvchange -ay refuse/inactive",
		disks(t, 1)[0]:               "it is no device-mapper device",
		file(t, "x", []byte("text")): "it is a regular file",
		"/dev/null":                  "/dev/null",
		dmDevice(t, "refuse-snap-cow"): "it is a volume of type linear, the COW store of " +
			"refuse/snap",
		"/dev/mapper/refuse-origin-real": "it is a volume of type linear, a part of refuse/origin",
		"refuse/pool":                    "refuse/pool is a thin pool: name a thin snapshot",
		"/dev/refuse/pool":               "refuse/pool is a thin pool: name a thin snapshot",
		"/dev/mapper/refuse-pool":        "refuse/pool is a thin pool: name a thin snapshot",
		"/dev/mapper/refuse-pool-tpool":  "refuse/pool is a thin pool: name a thin snapshot",
		"refuse/idlepool":                "refuse/idlepool is a thin pool: name a thin snapshot",
		"refuse/pool_tmeta":              "refuse/pool_tmeta is metadata of a pool",
		"/dev/mapper/refuse-pool_tmeta":  "refuse/pool_tmeta is metadata of a pool",
		"refuse/pool_tdata":              "refuse/pool_tdata is the data of a thin pool",
		"refuse/lvol0_pmspare": "refuse/lvol0_pmspare is metadata of a pool or RAID " +
			"volume, or the spare for them",
		"refuse":      "refuse is a volume group: name a volume in it",
		"/dev/refuse": "/dev/refuse is a volume group: name a volume in it",
	} {
		r := run(t, nil, "lvmsync-dump", name)
		r.want(t, 1, message)
		if r.stdout != "" {
			t.Errorf("%s: %d bytes on standard output", name, len(r.stdout))
		}
	}

	// Without dmsetup nothing can be said of a snapshot.
	cmd := exec.Command("unshare", "-m", "sh", "-c",
		`mount -t tmpfs none /usr/sbin && exec lvmsync-dump /dev/refuse/snap`)
	r := runCommand(t, nil, cmd)
	r.want(t, 1, "dmsetup")
	if !strings.Contains(r.stderr, "hint: install") {
		t.Errorf("no hint what to install:\n%s", r.stderr)
	}
}

// A destination that must not be written is left as it is.
func TestRefusedDestinations(t *testing.T) {
	vg := newVG(t, "dests", 1)
	origin := "/dev/dests/origin"
	plain(t, vg, "origin", 4*mib)
	sh(t, "mkfs.ext4", "-q", origin)
	sh(t, "lvcreate", "-qq", "-y", "-s", "-c", "4k", "-L", "2m", "-n", "snap", vg+"/origin")
	poke(t, origin, 2, 3*mib)
	full := file(t, "full.lvmpatch", []byte(run(t, nil, "lvmsync-dump", "--full",
		"dests/snap").stdout))
	delta := file(t, "delta.lvmpatch", []byte(run(t, nil, "lvmsync-dump", "dests/snap").stdout))

	volume := func(name, size string) string {
		sh(t, "lvcreate", "-qq", "-y", "-Wn", "-L", size, "-n", name, vg)
		dev := "/dev/dests/" + name
		transferred := run(t, nil, "lvmsync-apply", "--allow-smaller", full, dev)
		transferred.want(t, 0, "")
		return dev
	}
	mounted, small, large, readOnly := volume("mounted", "4m"), volume("small", "2m"),
		volume("large", "6m"), volume("readonly", "4m")
	held := volume("held", "4m")
	mnt := mount(t, mounted, "-o", "ro,noload") // it shall stay as it is
	sh(t, "blockdev", "--setro", readOnly)
	holder, err := os.OpenFile(held, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()

	for _, test := range []struct{ dest, message string }{
		{mounted, "is mounted on " + mnt},
		{small, fmt.Sprintf("too small: %s has %d bytes, the volume %d", small, 2*mib, 4*mib)},
		{readOnly, readOnly},
		{held, "open for writing by lvmtest.test (pid "},
		{origin, "is the source of the patch"},
		{"/dev/dests/snap", "is the source of the patch"},
		{dmDevice(t, "dests-snap-cow"), "in use"},
		{disks(t, 1)[0], "in use"},
	} {
		before := sum(t, test.dest, 0)
		for _, patch := range []string{full, delta} {
			if patch == full && test.dest == origin {
				continue // a backup may go back to the origin: it was read from the snapshot
			}
			run(t, nil, "lvmsync-apply", patch, test.dest).want(t, 1, test.message)
			stdin, err := os.Open(patch)
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			run(t, stdin, "lvmsync-apply", test.dest).want(t, 1, test.message)
		}
		if sum(t, test.dest, 0) != before {
			t.Errorf("%s has changed", test.dest)
		}
	}
	// Force doesn't make a delta's source its destination.
	run(t, nil, "lvmsync-apply", "--force", delta, origin).want(t, 1, "is the source of the patch")

	run(t, nil, "lvmsync-apply", delta, large).want(t, 0, "what lies beyond is left alone")
	wantSame(t, origin, large)
	run(t, nil, "lvmsync-apply", "--force", delta, held).want(t, 0, "forced: "+
		held+" is open for writing by lvmtest.test")
	wantSame(t, origin, held)
	sh(t, "umount", mnt)
	run(t, nil, "lvmsync-apply", delta, mounted).want(t, 0, "")
	wantSame(t, origin, mounted)
}
