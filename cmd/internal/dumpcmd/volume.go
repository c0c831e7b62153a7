package dumpcmd

import (
	"context"
	"errors"
	"fmt"
	"os"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
	"lvmsync/format/follow"
)

// errOtherVolume means that an archive is of another volume than what is compared with it.
var errOtherVolume = errors.New("the archive is of another volume")

// checkVolume refuses an archive of another volume than what is compared with it, unless told: a
// patch that leads from one to the other would be as good as any, and so would all that follow.
func (s *source) checkVolume(ctx context.Context, inv *cli.Invocation) error {
	if s.held == nil {
		return nil
	}
	now, held := s.Header, s.held.Header
	now.Host, _ = os.Hostname()
	if sameIDs(now, held) {
		return nil
	}
	// A thin snapshot that is in use is dumped as a volume of its own.
	lv, err := devmapper.LVNamed(ctx, s.name)
	if err == nil && lv.OriginUUID != "" && lv.OriginUUID == held.Source.LVUUID {
		return nil
	}
	name, of := s.name, follow.VolumeName(held)
	if now.Host != held.Host && held.Host != "" {
		name, of = name+" on "+now.Host, of+" on "+format.Shown(held.Host)
	}
	switch {
	case !sameNames(now, held):
		err = fmt.Errorf("%w: %s is not %s, which %s is of", errOtherVolume, name, of,
			s.held.Path)
		if !inv.Bool("force") {
			return err
		}
		inv.Warn(err.Error())
	case now.Source.LVUUID != "" && held.Source.LVUUID != "",
		now.Source.DeviceUUID != "" && held.Source.DeviceUUID != "":
		inv.Warn(fmt.Sprintf("%s has another UUID than %s, which %s is of: unless it has taken "+
			"the place of that, the archive is the wrong one", name, of, s.held.Path))
	}
	return nil
}

// sameIDs tells whether names that nobody chooses say that a patch of an archive is of the volume
// that is dumped.
func sameIDs(now, held format.Header) bool {
	x, y := now.Source, held.Source
	switch {
	case x.LVUUID != "" && y.LVUUID != "":
		return x.LVUUID == y.LVUUID || x.LVUUID == follow.StateOf(held).Snapshot ||
			x.SnapshotUUID == y.LVUUID
	case x.DeviceUUID != "" && y.DeviceUUID != "":
		return x.DeviceUUID == y.DeviceUUID
	}
	return false
}

// sameNames tells whether both have one name, on one host as far as that is known.
func sameNames(now, held format.Header) bool {
	if now.Host != held.Host && now.Host != "" && held.Host != "" {
		return false
	}
	x, y := now.Source, held.Source
	return x.Path == y.Path || x.LV != "" && x.LV == y.LV && x.VG == y.VG
}
