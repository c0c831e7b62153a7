package format

import "fmt"

// ExtentKind tells what an extent holds.
type ExtentKind uint8

const (
	// Data extents carry their bytes in the patch.
	Data ExtentKind = iota
	// Zero extents read as zeros; the patch carries no bytes for them.
	Zero
)

// String is the kind's name in messages.
func (k ExtentKind) String() string {
	if k == Zero {
		return "zero"
	}
	return "data"
}

// An Extent is a byte range of the volume, [Off, Off+Len).
type Extent struct {
	Off  int64 // first byte
	Len  int64 // length in bytes
	Kind ExtentKind
}

// End is the first byte after the extent.
func (e Extent) End() int64 { return e.Off + e.Len }

// String shows the range in bytes, for messages. One that reaches past 2^63 - 1, as a
// patch may say, is shown as it is there.
func (e Extent) String() string {
	if e.Off < 0 || e.End() < 0 {
		return fmt.Sprintf("%s extent of %d bytes at offset %d",
			e.Kind, uint64(e.Len), uint64(e.Off))
	}
	return fmt.Sprintf("%s extent [%d, %d)", e.Kind, e.Off, e.End())
}

// A Record is an extent as a segment's table has it.
type Record struct {
	Extent
	// Hash is the xxh64 of the data, 0 for a zero extent. A Writer computes it.
	Hash uint64
	// BaseHash is the xxh64 of the bytes that the extent replaces, as they are
	// in the base. It means something only if HasBase is set.
	BaseHash uint64
	HasBase  bool
	// Lost says of a zero extent that nobody knows what the volume holds there:
	// it could not be read. The patch must require [LostSectors].
	Lost bool
}

// Flags of a table entry (docs/format.md, "Segment").
const (
	flagZero    = 1 << 0
	flagHasBase = 1 << 1
	flagLost    = 1 << 2
	knownFlags  = flagZero | flagHasBase | flagLost
)

func appendRecord(b []byte, r Record) []byte {
	var flags uint32
	if r.Kind == Zero {
		flags |= flagZero
		r.Hash = 0
	}
	if r.HasBase {
		flags |= flagHasBase
	} else {
		r.BaseHash = 0
	}
	if r.Lost {
		flags |= flagLost
	}
	b = le.AppendUint64(b, uint64(r.Off)) // 0: first byte in the volume
	b = le.AppendUint64(b, uint64(r.Len)) // 8: length in bytes
	b = le.AppendUint32(b, flags)         // 16: flags
	b = le.AppendUint32(b, 0)             // 20: reserved
	b = le.AppendUint64(b, r.Hash)        // 24: xxh64 of the data
	return le.AppendUint64(b, r.BaseHash) // 32: xxh64 of the base
}

// parseRecord reads one table entry of extentSize bytes. The range is not
// checked against the volume: that is extentOrder's work.
func parseRecord(b []byte) (Record, error) {
	flags := le.Uint32(b[16:])
	r := Record{
		Extent:   Extent{Off: int64(le.Uint64(b)), Len: int64(le.Uint64(b[8:]))},
		Hash:     le.Uint64(b[24:]),
		BaseHash: le.Uint64(b[32:]),
		HasBase:  flags&flagHasBase != 0,
		Lost:     flags&flagLost != 0,
	}
	if flags&flagZero != 0 {
		r.Kind = Zero
	}
	switch {
	case flags&^knownFlags != 0:
		return Record{}, fmt.Errorf("extent at offset %d has unknown flags %#x",
			uint64(r.Off), flags&^knownFlags)
	case le.Uint32(b[20:]) != 0:
		return Record{}, fmt.Errorf("extent at offset %d has a reserved field that is not 0",
			uint64(r.Off))
	case r.Kind == Zero && r.Hash != 0:
		return Record{}, fmt.Errorf("zero extent at offset %d has a data hash", uint64(r.Off))
	case !r.HasBase && r.BaseHash != 0:
		return Record{}, fmt.Errorf("extent at offset %d has a base hash without its flag",
			uint64(r.Off))
	}
	return r, r.checkLost()
}

// checkLost checks that the record is one that can be lost, if it is.
func (r Record) checkLost() error {
	switch {
	case r.Lost && r.Kind != Zero:
		return fmt.Errorf("%v is lost and has data", r.Extent)
	case r.Lost && r.HasBase:
		return fmt.Errorf("%v is lost and has a base hash", r.Extent)
	}
	return nil
}

// extentOrder holds the rules that extents follow across a whole patch
// (docs/format.md, "Order of extents").
type extentOrder struct {
	volumeSize int64
	start      int64 // the first byte that the patch says anything of
	whole      bool  // a full patch leaves no gaps
	mayLose    bool  // there may be lost extents
	end        int64 // of the last extent
}

func newExtentOrder(h *Header) extentOrder {
	return extentOrder{volumeSize: h.VolumeSize, start: h.Start, whole: h.Kind == Full,
		mayLose: h.requires(LostSectors)}
}

// CheckExtents checks the order and the kinds of extents that a patch with this header has
// behind others, which end at byte end of the volume.
func (h *Header) CheckExtents(records []Record, end int64) error {
	order := newExtentOrder(h)
	order.end = end
	for _, r := range records {
		if err := order.addRecord(r); err != nil {
			return err
		}
	}
	return nil
}

// addRecord checks the next extent, and whether a patch with this header may have it.
func (o *extentOrder) addRecord(r Record) error {
	if r.Lost && !o.mayLose {
		return fmt.Errorf("%v is lost, and the patch does not require the feature %s",
			r.Extent, LostSectors)
	}
	return o.add(r.Extent)
}

// add checks the next extent.
func (o *extentOrder) add(e Extent) error {
	switch {
	case e.Off < 0 || e.Len < 0 || e.Len > o.volumeSize || e.Off > o.volumeSize-e.Len:
		return fmt.Errorf(
			"extent of %d bytes at offset %d reaches past the end of the volume, %d bytes",
			uint64(e.Len), uint64(e.Off), o.volumeSize)
	case e.Len == 0:
		return fmt.Errorf("extent at offset %d is empty", uint64(e.Off))
	case e.Off%SectorSize != 0 || (e.Len%SectorSize != 0 && e.End() != o.volumeSize):
		return fmt.Errorf("%v is not aligned to %d bytes", e, SectorSize)
	case e.Off < o.end:
		return fmt.Errorf(
			"%v overlaps the extent before it or is out of order: that one ends at %d", e, o.end)
	case e.Off < o.start:
		return fmt.Errorf("%v begins before byte %d, where the patch starts by its header",
			e, o.start)
	case o.whole && e.Off != o.end:
		return fmt.Errorf("a full patch leaves out the bytes [%d, %d)", o.end, e.Off)
	}
	o.end = e.End()
	return nil
}
