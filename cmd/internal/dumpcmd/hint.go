package dumpcmd

import (
	"cmp"
	"errors"

	"golang.org/x/sys/unix"

	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/dump/thick"
	"lvmsync/dump/thin"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// status is the exit status for an error.
func status(err error) int {
	switch {
	case patchfile.IsBad(err):
		return cli.StatusBadPatch
	case archives.IsGap(err), errors.Is(err, errOtherVolume):
		return cli.StatusWrongBase
	}
	return cli.StatusFailed
}

// hint says what to do about an error.
func hint(err error) string {
	if errors.Is(err, devmapper.ErrNotFound) && errors.Is(err, devmapper.ErrNoTool) {
		return "check the name; of a logical volume without a device only lvs could tell: " +
			"install the package lvm2"
	}
	return cmp.Or(cli.PermissionHint(err), archives.Hint(err), output.Hint(err), advice.For(err))
}

// advice is what to do about a source. A snapshot may be the only record of what it holds: that it
// be removed is not for a program to say.
var advice = cli.Advice{
	{unix.EPIPE, "the receiving program ended early: its message says why"},
	{errOtherVolume, "name the archive of this volume; if it is this one's, and the volume was " +
		"moved or renamed, --force goes on with it"},
	{format.ErrCorrupt, "put a good copy of it in its place; of an archive, --state compares " +
		"with an older state, and --full into another folder begins anew"},
	{dump.ErrUnreadable, "with --on-read-error zero, sectors that can't be read are sent as " +
		"zeros and marked as lost"},
	{dump.ErrOverflow, "make a new snapshot with more room, and send what differs from its " +
		"patches or its copy elsewhere with --base or --signature, or all with --full"},
	{dump.ErrStoreFailed, "the kernel's log says what failed; make a new snapshot on a sound " +
		"device, and send what differs from its patches or its copy elsewhere with --base or " +
		"--signature, or all with --full"},
	{dump.ErrMiscount, "try again; --full of the snapshot does without the list"},
	{dump.ErrGone, "dump again when it is active"},
	{thick.ErrNotSnapshot, "name a snapshot, or dump everything with --full"},
	{thin.ErrNoOrigin, "name a snapshot, or dump everything with --full"},
	{thin.ErrFullRuns, "let it end, then dump again"},
	{thin.ErrHeld, "wait for the other program, or free what it left behind as told"},
	{thin.ErrNotThin, "with --to, both must be thin volumes of one pool, or thick snapshots of " +
		"one origin"},
	{devmapper.ErrNotFound, "check the name: a logical volume is vg/lv or /dev/vg/lv; \"lsblk\" " +
		"and \"lvs\" list what there is"},
	{devmapper.ErrNoTool, "install the package that has it: dmsetup, lvm2"},
	{storage.ErrNoSysfs, "mount -t sysfs sysfs /sys"},
	{storage.ErrNoProc, "mount -t proc proc /proc"},
}
