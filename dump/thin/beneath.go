package thin

import (
	"fmt"
	"strings"

	"lvmsync/dump/blockdev"
	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// A beneath is what a volume's unmapped blocks are read from: an external origin, and zeros past
// its end.
type beneath struct {
	num  kernel.DevNum
	file *blockdev.File // nil: there is none, all of them are zeros
	// still means that nobody can have written to it as long as the volume has existed.
	still bool
}

// openBeneath opens the external origin of a thin volume, if it has one.
func openBeneath(target dmtable.Thin) (beneath, error) {
	if !target.HasExternal {
		return beneath{still: true}, nil
	}
	b := beneath{num: target.External}
	var err error
	if b.file, err = blockdev.Open(b.num.Path()); err != nil {
		return b, fmt.Errorf("open the external origin: %w", err)
	}
	// LVM takes no volume that can be written to for one, and lets none be made writable as long as
	// it is one. Of what others have stacked, nobody knows what was written when.
	b.still = strings.HasPrefix(b.num.UUID(), "LVM-") && b.num.Attr("ro") == "1"
	return b, nil
}

// size is how much of the volume it covers, in bytes.
func (b beneath) size() int64 {
	if b.file == nil {
		return 0
	}
	return b.file.Size()
}

// isLV tells whether it is the logical volume with that UUID, in whichever layer.
func (b beneath) isLV(vgUUID, lvUUID string) bool {
	return b.file != nil && strings.HasPrefix(b.num.UUID(), kernel.LVMUUID(vgUUID, lvUUID))
}

// differUpTo is where in bytes of two volumes what both leave unmapped begins to be provably the
// same for both: 0 if all of it is.
func differUpTo(a, b beneath) int64 {
	if a.num == b.num && a.still && b.still {
		return 0
	}
	return max(a.size(), b.size())
}

func (b beneath) close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}
