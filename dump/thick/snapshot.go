package thick

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lvmsync/dump"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/storage"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// ErrNotSnapshot means that what was named is no thick snapshot.
var ErrNotSnapshot = errors.New("not a thick snapshot")

// ErrOtherOrigin means that two snapshots have nothing in common.
var ErrOtherOrigin = errors.New("they are snapshots of different origins")

// ErrMerging means that the snapshot is being merged into its origin.
var ErrMerging = errors.New("the snapshot is being merged")

// A snapshot is what device-mapper and LVM say of a thick snapshot.
type snapshot struct {
	name   string // as the user named it
	device devmapper.Device
	target dmtable.Snapshot
	size   int64                    // of the volume when the snapshot was made, in bytes
	above  devmapper.Device         // what users of the origin write to
	lv     *devmapper.LogicalVolume // nil if the snapshot isn't LVM's
	itself bool                     // of one that stands on a store: that is its own, no part of it
}

// find resolves the name and refuses what has no complete list of changes.
func find(ctx context.Context, name string) (*snapshot, error) {
	path, err := devmapper.Resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	id, err := storage.Identify(path)
	if err != nil {
		return nil, err
	}
	if !id.Device {
		return nil, fmt.Errorf("%s: %w: it is a regular file", name, ErrNotSnapshot)
	}
	s := &snapshot{name: name}
	s.device, err = devmapper.Info(ctx, id.DevNum)
	if errors.Is(err, kernel.ErrNotDM) {
		return nil, fmt.Errorf("%s: %w: it is no device-mapper device", name, ErrNotSnapshot)
	}
	if err != nil {
		return nil, err
	}
	if err := s.readTable(ctx); err != nil {
		return nil, err
	}
	if err := s.readLVM(ctx); err != nil {
		return nil, err
	}
	return s, s.findOrigin(ctx)
}

// readTable finds out what kind of device this is.
func (s *snapshot) readTable(ctx context.Context) error {
	table, err := devmapper.TableOf(ctx, s.device.Num)
	if err != nil {
		return err
	}
	kind := "empty"
	if len(table) > 0 {
		kind = table[0].Type
	}
	switch kind {
	case "snapshot":
	case "snapshot-merge":
		return fmt.Errorf("%s: %w", s.name, ErrMerging)
	case "snapshot-origin":
		return fmt.Errorf("%s: %w: it is the origin of one", s.name, ErrNotSnapshot)
	case "thin":
		return fmt.Errorf("%s: %w: it is a thin volume", s.name, ErrNotSnapshot)
	default:
		return s.other(ctx, kind)
	}
	s.target, err = dmtable.ParseSnapshot(table[0])
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.size = int64(table[0].LengthSectors) * format.SectorSize
	switch {
	case s.target.Persistent == "N":
		return fmt.Errorf("%s: a transient snapshot has its list of changes in memory only, "+
			"where it can't be read", s.name)
	case slices.Contains(s.target.Features, "discard_passdown_origin"):
		return fmt.Errorf("%s: the snapshot passes discards down to its origin, which leaves no "+
			"trace in its list of changes", s.name)
	}
	return nil
}

// findOrigin finds the device through which the origin is written: the one that
// makes exceptions for writes to the same underlying device.
func (s *snapshot) findOrigin(ctx context.Context) error {
	tables, err := devmapper.Tables(ctx)
	if err != nil {
		return err
	}
	for _, d := range tables {
		if len(d.Table) == 1 && d.Table[0].Type == "snapshot-origin" &&
			slices.Equal(d.Table[0].Args, []string{s.target.Real.String()}) {
			s.above = d.Device
			return nil
		}
	}
	return fmt.Errorf("%s: no active origin found on device %s: it may be in the midst of a merge",
		s.name, s.target.Real)
}

// readLVM asks LVM what device-mapper doesn't know: a merge that waits for the
// origin to be closed shows nowhere else.
func (s *snapshot) readLVM(ctx context.Context) error {
	if !strings.HasPrefix(s.device.UUID, "LVM-") {
		return nil
	}
	lv, err := devmapper.LV(ctx, s.device.VG, s.device.LV)
	if err != nil {
		return err
	}
	s.lv = &lv
	return s.checkLVM(ctx)
}

// checkLVM refuses what LVM says has no list that lasts.
func (s *snapshot) checkLVM(ctx context.Context) error {
	switch lv := s.lv; {
	case lv.Merging:
		return fmt.Errorf("%s: %w: that begins when its origin is closed", s.name, ErrMerging)
	case lv.SnapshotInvalid:
		return s.invalid(ctx)
	case lv.MergeFailed:
		return fmt.Errorf("%s: merging it failed: origin and snapshot are in an unknown state",
			s.name)
	}
	return nil
}

// check makes sure that the snapshot is still there and its list complete.
func (s *snapshot) check(ctx context.Context) error {
	_, err := s.status(ctx)
	return err
}

// status asks for the snapshot's state and refuses all that don't have a
// complete list. An overflow that leaves the snapshot readable ("PO") has.
func (s *snapshot) status(ctx context.Context) (devmapper.SnapshotStatus, error) {
	var status devmapper.SnapshotStatus
	if !s.device.Exists() {
		return status, fmt.Errorf("%s: %w", s.name, dump.ErrGone)
	}
	status, err := devmapper.StatusOfSnapshot(ctx, s.device.Num)
	if err != nil {
		return status, fmt.Errorf("%s: find the snapshot's status: %w", s.name, err)
	}
	switch status.State {
	case devmapper.Active, devmapper.Overflow:
		return status, nil
	case devmapper.Invalid:
		return status, s.invalid(ctx)
	case devmapper.MergeFailed:
		return status, fmt.Errorf("%s: merging it failed: origin and snapshot are in an "+
			"unknown state", s.name)
	}
	return status, fmt.Errorf("%s: the kernel doesn't tell the snapshot's status", s.name)
}

// checkPair refuses a snapshot that is none of the same origin. Which of the two is older
// doesn't matter.
func (s *snapshot) checkPair(to *snapshot) error {
	switch {
	case s.target.Real != to.target.Real:
		return fmt.Errorf("%s and %s: %w", s.name, to.name, ErrOtherOrigin)
	case s.device.Num == to.device.Num:
		return fmt.Errorf("%s and %s are the same snapshot", s.name, to.name)
	}
	return nil
}
