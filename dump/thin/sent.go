package thin

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/cespare/xxhash/v2"

	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
	"lvmsync/format/durable"
)

// sentDir is where the notes are of what was sent. They outlive a restart, as what was sent does.
var sentDir = "/var/lib/lvmsync/sent"

// A block that was written after the base was made, sent, and discarded before the next dump from that base is mapped by neither
// volume then: the pool has forgotten it, and the destination has not. So what is sent is noted before it leaves, and every later
// dump from the base sends it again, as whatever it is by then.
type sent struct {
	path   string
	blocks *roaring64.Bitmap // that dumps from the base have sent
}

// openSent reads the note of that name.
func openSent(name string) (s *sent, err error) {
	s = &sent{path: filepath.Join(sentDir, name)}
	s.blocks, err = readSent(s.path)
	return s, err
}

// sentName names the note about a volume by what it keeps whatever becomes of it, and what a merge changes.
func sentName(v *volume) (string, error) {
	if v.lv == nil {
		if v.device.UUID == "" {
			return "", fmt.Errorf("%s has no UUID", v.name)
		}
		return fmt.Sprintf("%s.%d", strings.ReplaceAll(v.device.UUID, "/", "_"), v.target.ID), nil
	}
	return sentNameOf(v.lv.VGUUID, v.lv.UUID, fmt.Sprint(v.target.ID)), nil
}

func sentNameOf(vg, lv, thinID string) string { return vg + "." + lv + "." + thinID }

// sentMagic begins a note. The set of blocks follows, as roaring bitmaps are serialised, and the xxh64 of all that.
const sentMagic = "lvmsync sent 1\n"

// readSent reads a note. There is none before the first dump from a base.
func readSent(path string) (*roaring64.Bitmap, error) {
	blocks := roaring64.New()
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return blocks, nil
	}
	if err != nil {
		return nil, err
	}
	set, ok := bytes.CutPrefix(text[:max(0, len(text)-8)], []byte(sentMagic))
	if !ok || xxhash.Sum64(text[:len(text)-8]) != binary.LittleEndian.Uint64(text[len(text)-8:]) {
		return nil, fmt.Errorf("%s is damaged", path)
	}
	if _, err := blocks.ReadFrom(bytes.NewReader(set)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return blocks, nil
}

// add notes that blocks will be sent. They may leave once it returns nil.
func (s *sent) add(blocks *roaring64.Bitmap) error {
	text := bytes.NewBufferString(sentMagic)
	all := roaring64.Or(s.blocks, blocks)
	all.RunOptimize()
	if _, err := all.WriteTo(text); err != nil {
		return err
	}
	if err := makeSentDir(); err != nil {
		return err
	}
	f, err := durable.FS{}.Replace(s.path)
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	_, err = f.Write(binary.LittleEndian.AppendUint64(text.Bytes(), xxhash.Sum64(text.Bytes())))
	if err == nil {
		err = f.Commit()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", s.path, err), f.Remove())
	}
	return nil
}

// makeSentDir makes the folder of the notes, so that a power cut does not take it away with them: no note would say that nothing was
// sent.
func makeSentDir() error {
	if err := os.MkdirAll(sentDir, 0o700); err != nil {
		return err
	}
	for _, above := range []string{filepath.Dir(sentDir), filepath.Dir(filepath.Dir(sentDir))} {
		f, err := os.Open(above)
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return fmt.Errorf("flush %s: %w", above, err)
		}
	}
	return nil
}

// sendAgain reads what earlier dumps from the snapshot have sent, to be sent again. If that isn't known, everything that neither
// volume maps has to be sent.
func (s *Source) sendAgain() (again *roaring64.Bitmap, known bool) {
	name, err := sentName(s.kept)
	if err == nil {
		s.sent, err = openSent(name)
	}
	if s.unknown = err; err != nil {
		return roaring64.New(), false
	}
	return s.sent.blocks, true
}

// compareSnapshots finds what the volume maps and its snapshots don't: what a full dump of it brings, and patches from them can't
// tell any more once it is discarded.
func (s *Source) compareSnapshots(ctx context.Context, m *metadata.Metadata) error {
	lv := s.new.lv
	if s.beyond = nil; lv == nil || s.info.SnapshotUUID != "" { // a snapshot: what leads to it is nothing to start from elsewhere
		return nil
	}
	volumes, err := devmapper.Volumes(ctx, lv.VG)
	if err != nil {
		s.info.Snapshots = nil // what they don't map can't be noted
		return nil
	}
	s.beyond = make(map[string]*roaring64.Bitmap)
	for _, v := range volumes {
		id, err := strconv.ParseUint(v.ThinID, 10, 24)
		if v.OriginUUID != lv.UUID || err != nil {
			continue
		}
		d, err := m.Diff(ctx, uint32(id), s.new.target.ID)
		if errors.Is(err, metadata.ErrNoVolume) { // in another pool, or made after the metadata were held
			continue
		}
		if err != nil {
			return err
		}
		s.beyond[sentNameOf(lv.VGUUID, v.UUID, v.ThinID)] = d.Mapped
	}
	return nil
}

// NoteSent notes for later dumps from the same snapshot, or of a full dump from the volume's snapshots, what this one sends. It
// must be called before anything is sent; if another dump was quicker, the pool is asked again. An error means that what is
// discarded from now on stays at the destination, unless that gets another full copy.
func (s *Source) NoteSent(ctx context.Context) error {
	err := s.noteSent(ctx)
	if err != nil {
		s.info.Snapshots = nil // what a patch from one of them can't tell isn't noted
	}
	return err
}

func (s *Source) noteSent(ctx context.Context) error {
	for name, blocks := range s.beyond {
		if _, err := noteIn(ctx, name, nil, blocks); err != nil {
			return err
		}
	}
	for s.kept != nil && s.unknown == nil {
		noted, err := noteIn(ctx, filepath.Base(s.sent.path), s.sent.blocks, s.data)
		if err != nil {
			return err
		}
		if noted {
			s.sent.tidy(ctx, s.kept)
			break
		}
		if err := s.ask(ctx); err != nil {
			return err
		}
	}
	return nil
}

// noteIn adds blocks to the note of that name, if that has what is expected there; nil: whatever it has.
func noteIn(ctx context.Context, name string, expected, blocks *roaring64.Bitmap) (noted bool, err error) {
	l, err := takeLock(ctx, "sent-"+name, "note what it sends")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.end()) }()
	now, err := openSent(name)
	if err != nil || expected != nil && !now.blocks.Equals(expected) {
		return false, err
	}
	return true, now.add(blocks)
}

// SentUnknown is why it isn't known what earlier dumps from the same snapshot have sent; nil if it is. All that neither volume
// maps is sent as zeros then.
func (s *Source) SentUnknown() error { return s.unknown }

// tidy removes the notes about volumes of the base's volume group that are no more. Those of one that isn't there just now stay.
func (s *sent) tidy(ctx context.Context, base *volume) {
	if base.lv == nil {
		return
	}
	notes, _ := filepath.Glob(filepath.Join(sentDir, base.lv.VGUUID+".*"))
	if len(notes) < 2 {
		return
	}
	there, err := devmapper.Volumes(ctx, base.lv.VG)
	if err != nil {
		return
	}
	for _, note := range notes {
		of := func(v devmapper.VolumeID) bool {
			return strings.HasPrefix(filepath.Base(note), base.lv.VGUUID+"."+v.UUID+".")
		}
		if !slices.ContainsFunc(there, of) {
			_ = os.Remove(note)
		}
	}
}
