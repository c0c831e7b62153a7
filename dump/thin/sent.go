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

// openSent reads the note about what was sent from a base.
func openSent(base *volume) (s *sent, err error) {
	name, err := sentName(base)
	if err != nil {
		return nil, err
	}
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
	return fmt.Sprintf("%s.%s.%d", v.lv.VGUUID, v.lv.UUID, v.target.ID), nil
}

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
	if err := os.MkdirAll(sentDir, 0o700); err != nil {
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

// sendAgain adds to what the volumes map differently what earlier dumps from the snapshot have sent. If that isn't known,
// everything that neither of them maps has to be sent.
func (s *Source) sendAgain(d *metadata.Difference) (known bool) {
	if s.sent, s.unknown = openSent(s.kept); s.unknown != nil {
		return false
	}
	d.Mapped.Or(roaring64.AndNot(s.sent.blocks, d.Unmapped))
	return true
}

// NoteSent notes for later dumps from the same snapshot what this one sends. It must be called before anything is sent; if another
// dump was quicker, the pool is asked again. An error means that what is discarded from now on stays at the destination, unless
// that gets another full copy.
func (s *Source) NoteSent(ctx context.Context) error {
	for s.unknown == nil {
		l, err := takeLock(ctx, "sent-"+filepath.Base(s.sent.path), "note what it sends from "+s.kept.name)
		if err != nil {
			return err
		}
		now, err := openSent(s.kept)
		if err == nil && now.blocks.Equals(s.sent.blocks) {
			if err = s.sent.add(s.data); err == nil {
				s.sent.tidy(ctx, s.kept)
			}
			return errors.Join(err, l.end())
		}
		if err = errors.Join(err, l.end()); err == nil {
			err = s.ask(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
		parts := strings.Split(filepath.Base(note), ".")
		if len(parts) != 3 {
			continue
		}
		if _, ok := there[parts[1]]; !ok {
			_ = os.Remove(note)
		}
	}
}
