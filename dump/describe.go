package dump

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// DescribeSource is [storage.Describe] for a dump that begins now. It comes before anything is
// flushed or listed: what is written later, and the snapshots that are made then, the patch may
// know nothing of.
func DescribeSource(path string, id storage.ID) format.Source {
	s := storage.Describe(path, id)
	_, s.Uptime = now()
	return s
}

// AddVolume adds what LVM says of the volume. That LVM knows an origin of it
// makes it no snapshot: a clone of a template has one, and a cached volume.
func AddVolume(ctx context.Context, s *format.Source, lv devmapper.LogicalVolume) {
	s.VG, s.VGUUID = lv.VG, lv.VGUUID
	s.LV, s.LVUUID = lv.Name, lv.UUID
	s.Snapshots = snapshotsOf(ctx, lv.VG, lv.UUID)
}

// AddSnapshot adds what LVM says of a snapshot. Its origin is the volume.
func AddSnapshot(ctx context.Context, s *format.Source, lv devmapper.LogicalVolume) {
	s.VG, s.VGUUID = lv.VG, lv.VGUUID
	s.LV, s.LVUUID = lv.Origin, lv.OriginUUID
	s.Snapshot, s.SnapshotUUID = lv.Name, lv.UUID
	s.Snapshots = snapshotsOf(ctx, lv.VG, lv.OriginUUID)
}

// snapshotsOf lists the snapshots of a volume by their UUIDs; nil if they are too many or can't be
// asked for.
func snapshotsOf(ctx context.Context, vg, uuid string) []string {
	volumes, err := devmapper.Volumes(ctx, vg)
	if err != nil || uuid == "" {
		return nil
	}
	snapshots := []string{}
	for _, v := range volumes {
		if v.OriginUUID == uuid {
			snapshots = append(snapshots, v.UUID)
		}
	}
	if len(snapshots) > format.MaxSnapshots {
		return nil
	}
	slices.Sort(snapshots)
	return snapshots
}

// begun is when a dump began, as now tells it, by the uptime of then; 0 means now.
func begun(uptime int64) (time.Time, int64) {
	clock, since := now()
	if uptime == 0 {
		return clock, since
	}
	return clock.Add(time.Duration(uptime-since) * time.Millisecond), uptime
}

// now is the time by the clock, and in milliseconds since the machine was started, which
// nobody can set back. Where the kernel doesn't tell that, it is 0.
func now() (clock time.Time, uptime int64) {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err == nil {
		uptime = since.Nano() / int64(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond), uptime
}
