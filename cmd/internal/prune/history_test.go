package prune

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

const block, blocks = 4096, 8

// A night is a state of a volume that a snapshot keeps.
type night struct {
	snapshot string
	made     time.Time // as the clock was
	dumped   time.Time
	data     []byte
	volume   string       // of which it is
	origin   *night       // of what was written to since: what it was before
	patch    uuid.UUID    // the first that leads to it
	before   *night       // of the same volume, or of that which it is a clone of
	written  map[int]bool // blocks since then
}

func (n *night) state() string { return "volume " + n.snapshot }

// since tells whether a block was written after another night.
func (n *night) since(from *night, block int) bool {
	for ; n != from; n = n.before {
		if n.written[block] {
			return true
		}
	}
	return false
}

// A history is a folder of patches, and what they lead to.
type history struct {
	dir    string
	begin  *night               // which deltas start from where there is no full patch
	leads  map[uuid.UUID]*night // where patches lead
	newest map[string]*night    // by volume, if it can be told
	latest map[string]time.Time // that a clock said of a night, by volume
	now    time.Time
	ways   bool // there are states that several patches lead to
	files  int
}

// newHistory makes up a folder: full patches, deltas, forks, a volume that grows and shrinks, a
// clone of it, several ways to a state, snapshots that were written to and dumped again, lost
// sectors, clocks that were wrong, copies, undo patches, some that lack, no patches.
func newHistory(t *testing.T, rnd *rand.Rand) *history {
	h := &history{dir: t.TempDir(), leads: make(map[uuid.UUID]*night),
		newest: make(map[string]*night), latest: make(map[string]time.Time)}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	whole, clones := rnd.IntN(4) > 0, rnd.IntN(3) == 0
	clocks := rnd.IntN(3) == 0
	nights := make(map[string][]*night) // by volume; a clone has that which it was made of
	var last *night
	for i := range 2 + rnd.IntN(11) {
		at = at.Add(time.Duration(1+rnd.IntN(48)) * time.Hour)
		n := &night{snapshot: uuid.NewString(), made: at, data: make([]byte, block*blocks),
			volume: "volume"}
		if clocks && rnd.IntN(3) == 0 {
			n.made = wrong(rnd, at)
		}
		n.dumped = n.made.Add(time.Minute)
		if clones && i > 1 && rnd.IntN(3) == 0 {
			n.volume = "clone"
			if nights["clone"] == nil {
				nights["clone"] = []*night{last}
			}
		}
		all := nights[n.volume]
		if len(all) > 0 {
			n.before = all[len(all)-1]
			n.data, n.written = changed(rnd, cmp.Or(n.before.origin, n.before).data)
			if n.before.origin != nil {
				maps.Copy(n.written, n.before.written)
			}
		}
		nights[n.volume], last = append(all, n), n
		if i == 0 && !whole {
			h.begin = n
			continue
		}
		h.writeWays(t, rnd, all, n, whole)
		if rnd.IntN(10) == 0 {
			last = h.writeAgain(t, rnd, all, n)
			nights[n.volume] = append(all, last)
		}
	}
	h.addOthers(t, rnd, last)
	h.now = at.Add(time.Hour)
	return h
}

// wrong is the time by a clock that is so.
func wrong(rnd *rand.Rand, at time.Time) time.Time {
	switch rnd.IntN(4) {
	case 0:
		return time.Unix(rnd.Int64N(1e6), 0)
	case 1:
		return at.AddDate(10, 0, 0)
	}
	return at.Add(time.Duration(rnd.IntN(200)-100) * time.Hour)
}

// writeAgain writes to the snapshot of a night, and adds a patch to that. What is made then follows
// that.
func (h *history) writeAgain(t *testing.T, rnd *rand.Rand, before []*night, n *night) *night {
	again := *n
	again.patch, again.dumped = uuid.Nil, n.dumped.Add(time.Minute)
	again.data, again.written = bytes.Clone(n.data), make(map[int]bool)
	for range 1 + rnd.IntN(3) {
		at := rnd.IntN(len(n.data))
		again.data[at]++
		again.written[at/block] = true
	}
	again.origin = n
	maps.Copy(again.written, n.written)
	var from *night
	if len(before) > 0 {
		from = before[len(before)-1]
	}
	if from != nil || h.begin == nil {
		h.write(t, rnd, from, &again)
	}
	h.ways = true
	return &again
}

// changed is what becomes of the bytes of a volume, and which blocks have been written.
func changed(rnd *rand.Rand, data []byte) ([]byte, map[int]bool) {
	data = bytes.Clone(data)
	written := make(map[int]bool)
	for range rnd.IntN(5) {
		at := rnd.IntN(len(data))
		data[at] = byte(rnd.Uint32())
		written[at/block] = true
	}
	switch rnd.IntN(12) {
	case 0:
		written[len(data)/block] = true
		data = append(data, bytes.Repeat([]byte{byte(rnd.Uint32())}, block)...)
	case 1:
		data = data[:max(block, len(data)-block)]
	}
	return data, written
}

// writeWays adds patches to a night, from some of those before it; rarely none.
func (h *history) writeWays(t *testing.T, rnd *rand.Rand, before []*night, n *night, whole bool) {
	var from *night
	if len(before) > 0 && (!whole || rnd.IntN(6) > 0) {
		from = before[max(0, len(before)-1-rnd.IntN(2)*rnd.IntN(3))]
	}
	if len(before) > 0 && rnd.IntN(40) == 0 {
		return
	}
	h.write(t, rnd, from, n)
	if from != nil && rnd.IntN(8) == 0 {
		h.ways = true
		h.write(t, rnd, before[rnd.IntN(len(before))], n)
	}
}

// write adds a patch from one night to another one, of which sectors may be lost.
func (h *history) write(t *testing.T, rnd *rand.Rand, from, to *night) {
	lost := -1
	if rnd.IntN(6) == 0 {
		lost = rnd.IntN(len(to.data)/block) * block
	}
	path := filepath.Join(h.dir, fmt.Sprintf("%02d.lvmpatch", h.files))
	id := writePatch(t, path, from, to, lost)
	if rnd.IntN(12) == 0 {
		h.addCopy(t, path, fmt.Sprintf("%02d-copy.lvmpatch", h.files+1-rnd.IntN(2)*2))
	}
	h.files++
	h.leads[id] = to
	told := !to.made.Before(h.latest[to.volume]) || from != nil && from != h.begin &&
		from.made.After(to.made)
	if h.newest[to.volume] = to; !told {
		delete(h.newest, to.volume)
	}
	if to.made.After(h.latest[to.volume]) {
		h.latest[to.volume] = to.made
	}
}

// addCopy adds another file with what is in one.
func (h *history) addCopy(t *testing.T, path, name string) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, name), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// addOthers adds what is in no chain.
func (h *history) addOthers(t *testing.T, rnd *rand.Rand, last *night) {
	var err error
	if rnd.IntN(3) == 0 {
		back := *last
		back.snapshot, back.patch, back.before = uuid.NewString(), uuid.Nil, last
		path := filepath.Join(h.dir, "undo.lvmpatch")
		writePatch(t, path, last, &back, -1)
		err = os.Rename(path, filepath.Join(h.dir, "undo"))
	}
	if rnd.IntN(20) == 0 {
		err = errors.Join(err, os.WriteFile(filepath.Join(h.dir, "bad.lvmpatch"), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writePatch writes the patch that leads from one night to another; from none it is full. It has
// not what is in the block at lost. One in a file with the name undo.lvmpatch is an undo patch.
func writePatch(t *testing.T, path string, from, to *night, lost int) (id uuid.UUID) {
	t.Helper()
	h := headerOf(path, from, to)
	if lost >= 0 {
		h.RequiredFeatures = []string{format.LostSectors}
	}
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	for off := 0; off < len(to.data); off += block {
		b := to.data[off : off+block]
		switch e := (format.Extent{Off: int64(off), Len: block}); {
		case off == lost:
			e.Kind = format.Zero
			s.Records = append(s.Records, format.Record{Extent: e, Lost: true})
		case from == nil || to.since(from, off/block):
			s.Records = append(s.Records, format.Record{Extent: e})
			s.Data = append(s.Data, b...)
		}
	}
	if len(s.Records) > 0 {
		err = w.Write(s)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(path, out.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if to.patch == uuid.Nil {
		to.patch = h.ID
	}
	return h.ID
}

// headerOf is the header of a patch. One to a volume that is smaller names the patch that it
// follows, as only a dump does that compares with an archive.
func headerOf(path string, from, to *night) format.Header {
	h := format.Header{ID: uuid.New(), Kind: format.Full, Created: to.dumped,
		VolumeSize: int64(len(to.data)), Granularity: block,
		Source: format.Source{Type: "thick", LVUUID: to.volume},
		State:  &format.State{Snapshot: to.snapshot, SnapshotCreated: to.made}}
	switch {
	case from == nil:
		return h
	case len(to.data) < len(from.data) && from.patch != uuid.Nil:
		h.Base = &format.Base{Exact: true, Patch: from.patch}
	default:
		h.Base = &format.Base{Snapshot: from.snapshot, SnapshotCreated: from.made}
	}
	h.Kind = format.Delta
	if filepath.Base(path) == "undo.lvmpatch" {
		h.Kind = format.Undo
	}
	return h
}
