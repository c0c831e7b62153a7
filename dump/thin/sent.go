package thin

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/google/uuid"

	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
	"lvmsync/format"
)

// A block that was written after the base was made, sent, and discarded before the next dump from that base is mapped by neither
// volume then: the pool has forgotten it, and the destination has not. So what is sent is noted before it leaves, and every later
// dump from the base sends it again, as whatever it is by then. So is what a dump of a volume in use sends, for its snapshots: what
// that reads may be as late as its end, but differs from them in the volume then, too, unless it was mapped otherwise before.

var (
	// ErrNotNoted means that what is sent could not be noted: what later is discarded of it stays at the destination.
	ErrNotNoted = errors.New("it can't be noted what is sent")
	// ErrFullRuns means that it isn't known yet what a dump of a volume in use will have read.
	ErrFullRuns = errors.New("a dump of its volume in use has not ended")
)

// A sending is what a source makes of the notes.
type sending struct {
	group   []devmapper.VolumeID // the volumes of the volume's group, before the pool was asked
	unasked error                // why there are none
	before  *note                // of the base: what was sent from it; nil if there is no base
	unknown error                // why anything may have been
	unnamed bool                 // the base has no name for a note
	amid    bool                 // the volume is just being read by another dump, whose end may have more than this

	reading *running         // of a volume in use that is read
	mute    error            // why that could not be begun
	compare bool             // all of the volume is read, and what is sent depends on that
	beyond  map[string]*note // what to add for snapshots of the volume, or for itself, by their UUIDs
	left    error            // why that lacks some of them
}

// ofLVM names a volume of LVM's in notes; another one has no name there.
func (v *volume) ofLVM() thinVolume {
	if v.lv == nil {
		return thinVolume{}
	}
	return thinVolume{v.lv.VG + "/" + v.lv.Name, v.lv.UUID, v.target.ID}
}

// beginReading tells other runs that a volume is read which may be in use.
func (s *Source) beginReading() {
	if s.new.lv != nil && !(s.new.isSnapshot() && s.new.atRest()) {
		s.sent.reading, s.sent.mute = beginRunning(s.new.lv.UUID)
	}
}

// askNotes finds out what the notes tell, and LVM, which is not asked while the pool is locked.
func (s *Source) askNotes(ctx context.Context) error {
	v := s.new
	if s.kept != nil {
		v = s.kept
	}
	if s.sent.group, s.sent.unasked = nil, nil; v.lv != nil {
		s.sent.group, s.sent.unasked = devmapper.Volumes(ctx, v.lv.VG)
	}
	if s.kept == nil {
		return nil
	}
	name, err := noteName(s.kept)
	if s.sent.unnamed = err != nil; s.sent.unnamed {
		s.sent.before = &note{Everything: true}
	} else {
		s.sent.before, err = findNote(name)
	}
	if s.sent.unknown = err; err == nil && s.sent.before.Everything {
		s.sent.unknown = errors.New("what was noted of it had been damaged")
	}
	return s.checkRunning()
}

// checkRunning makes sure that no volume in use is just being read that the base is a snapshot of, or was. A patch to that volume is
// right where it's applied to what was there before, so it's made, but isn't said to follow what is just read.
func (s *Source) checkRunning() error {
	if s.kept.lv == nil {
		return nil
	}
	s.sent.amid = false
	for _, x := range append(s.sent.before.Full, thinVolume{Name: s.kept.lv.VG + "/" + s.kept.lv.Origin, UUID: s.kept.lv.OriginUUID}) {
		runs, err := isRunning(x.UUID)
		switch {
		case err != nil:
			return err
		case runs && x.UUID == s.new.ofLVM().UUID:
			s.sent.amid = true
		case runs:
			return fmt.Errorf("%s: %w: it reads %s", s.kept.name, ErrFullRuns, x.Name)
		}
	}
	return nil
}

// sendAgain finds what earlier dumps from the base may have brought, to be sent again. If that isn't known, it is all of the volume.
func (s *Source) sendAgain(ctx context.Context, m *metadata.Metadata) (*roaring64.Bitmap, error) {
	before := s.sent.before
	if before.Everything {
		return s.all(), nil
	}
	again := before.blocks.Clone()
	for _, x := range before.Full {
		if x.is(s.old.ofLVM()) || x.is(s.new.ofLVM()) {
			continue // compared anyway
		}
		d, err := s.diffNow(ctx, m, x)
		if errors.Is(err, metadata.ErrNoVolume) {
			s.sent.unknown = fmt.Errorf("%s, of which a copy was made in use, is gone, or was merged into", x.Name)
			return s.all(), nil
		}
		if err != nil {
			return nil, err
		}
		again.Or(d.Mapped)
		again.Or(d.Unmapped)
	}
	return again, nil
}

// diffNow finds how a volume differs from the base, if it is still what it was.
func (s *Source) diffNow(ctx context.Context, m *metadata.Metadata, x thinVolume) (*metadata.Difference, error) {
	for _, v := range s.sent.group {
		if v.UUID == x.UUID && v.ThinID == strconv.Itoa(int(x.ThinID)) {
			return m.Diff(ctx, s.kept.target.ID, x.ThinID)
		}
	}
	return nil, metadata.ErrNoVolume
}

// all is all blocks of the volume.
func (s *Source) all() *roaring64.Bitmap {
	all := roaring64.New()
	all.AddRange(0, s.blocks(s.new.file.Size()))
	return all
}

// compareSnapshots finds what a dump of the volume alone may bring that differs from its snapshots: patches from them can't tell any
// more once it is discarded. What it maps that they don't is so whatever it's written over with; of what it maps as they do, see
// [note].Full.
func (s *Source) compareSnapshots(ctx context.Context, m *metadata.Metadata) error {
	s.sent.beyond, s.sent.left = make(map[string]*note), errors.Join(s.sent.unasked, s.sent.mute)
	if s.new.lv == nil || s.sent.left != nil {
		return nil
	}
	for _, v := range s.sent.group {
		id, err := strconv.ParseUint(v.ThinID, 10, 24)
		isOrigin := s.new.isSnapshot() && v.UUID == s.new.lv.OriginUUID
		if err != nil || !isOrigin && (v.OriginUUID != s.new.lv.UUID || s.sent.reading == nil) {
			continue
		}
		d, err := m.Diff(ctx, uint32(id), s.new.target.ID)
		if errors.Is(err, metadata.ErrNoVolume) { // in another pool, or made after the metadata were held
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // damage that only that one has
			s.sent.left = errors.Join(s.sent.left, fmt.Errorf("compare with thin volume %d: %w", id, err))
			continue
		}
		add := &note{Group: v.VGUUID, blocks: d.Mapped}
		if isOrigin { // what it has of its own, and may discard
			add.Name = noteNameOf(s.new.lv.UUID, s.new.target.ID)
			s.sent.beyond[s.new.lv.UUID] = add
			continue
		}
		add.Name, add.Full = noteNameOf(v.UUID, uint32(id)), []thinVolume{s.new.ofLVM()}
		if err := s.addUnmapped(ctx, m, add.blocks, d, uint32(id)); err != nil {
			return err
		}
		s.sent.beyond[v.UUID] = add
	}
	return nil
}

// addUnmapped adds to the blocks what is sent of those that the volume doesn't map: zeros, and whatever may be written there before it
// is read, where that isn't left to the list.
func (s *Source) addUnmapped(ctx context.Context, m *metadata.Metadata, blocks *roaring64.Bitmap, d *metadata.Difference, snapshot uint32) error {
	blocks.Or(d.Unmapped)
	if s.sent.compare {
		free := s.all()
		mapped, err := m.Mapped(ctx, snapshot)
		if err != nil {
			return err
		}
		free.AndNot(mapped)
		blocks.Or(free)
		return nil
	}
	if s.new.beneath.size() > 0 {
		mapped, err := m.Mapped(ctx, s.new.target.ID)
		if err != nil {
			return err
		}
		blocks.Or(roaring64.AndNot(s.data, mapped))
	}
	return nil
}

// NoteSent notes for later dumps from the same snapshot, or of a dump of the volume alone from its snapshots, what this one sends. It
// must be called before anything is sent; if another dump was quicker, the pool is asked again. An error that is [ErrNotNoted] means
// that what is discarded from now on stays at the destination, unless that gets another full copy. With any other, nothing may
// be sent.
func (s *Source) NoteSent(ctx context.Context) error {
	s.info.Noted = nil
	left := s.sent.left
	if s.kept == nil && s.info.Snapshots != nil && len(s.info.Snapshots) == 0 { // nothing to note it for
		left = nil
	}
	for uuid, add := range s.sent.beyond {
		n, err := changeNote(ctx, add.Name, nil, add)
		if err != nil {
			left = errors.Join(left, err)
			continue
		}
		s.addNoted(uuid, n)
	}
	if s.kept != nil && !s.sent.unnamed {
		unnoted, err := s.noteBase(ctx)
		if err != nil {
			return err
		}
		left = errors.Join(left, unnoted)
	}
	if (s.kept != nil || len(s.info.Noted) > 0) && s.sent.unasked == nil {
		tidyNotes(ctx, s.sent.group)
	}
	if len(s.info.Noted) > format.MaxSnapshots {
		s.info.Noted, left = nil, errors.Join(left, fmt.Errorf("more than %d snapshots", format.MaxSnapshots))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if left != nil {
		if s.kept == nil && s.info.Noted == nil {
			s.info.Snapshots = nil // before there were ids of notes, what was listed was noted
		}
		return fmt.Errorf("%w: %w", ErrNotNoted, left)
	}
	return nil
}

// noteBase notes what is sent in the note of the base. What it could not be noted for is one error, that it isn't known any more what
// to send is the other.
func (s *Source) noteBase(ctx context.Context) (unnoted, err error) {
	for {
		before := s.sent.before
		add := &note{Name: before.Name, blocks: roaring64.Or(s.data, s.zero)}
		if s.kept.lv != nil {
			add.Group = s.kept.lv.VGUUID
		}
		n, err := changeNote(ctx, add.Name, before, add)
		if err != nil {
			return err, nil
		}
		if n != nil {
			if s.kept.lv != nil && !s.sent.amid {
				s.addNoted(s.kept.lv.UUID, n)
			}
			return nil, nil
		}
		if err := s.ask(ctx); err != nil {
			return nil, err
		}
	}
}

func (s *Source) addNoted(snapshot string, n *note) {
	if s.info.Noted == nil {
		s.info.Noted = make(map[string]uuid.UUID)
	}
	s.info.Noted[snapshot] = n.ID
}

// SentUnknown is why it isn't known what earlier dumps from the same snapshot have sent; nil if it is. All of the volume is sent then.
func (s *Source) SentUnknown() error { return s.sent.unknown }

// Noted tells in which notes what is sent is, after [Source.NoteSent].
func (s *Source) Noted() map[string]uuid.UUID { return s.info.Noted }
