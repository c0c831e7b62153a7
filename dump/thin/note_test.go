package thin

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
)

// manyBlocks has containers of all kinds.
func manyBlocks() *roaring64.Bitmap {
	b := roaring64.BitmapOf(1, 5, 9, 1<<20, 1<<40)
	for i := range uint64(9000) {
		b.Add(2<<20 + i*7)
	}
	b.AddRange(1<<21, 1<<21+70000)
	b.RunOptimize()
	return b
}

func sealed(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b)) }

func TestNoteRoundTrip(t *testing.T) {
	for _, n := range []*note{
		{Name: "lv.2", Dumps: []noted{{ID: uuid.New()}, {uuid.New(), true}}, Group: "vg",
			blocks: manyBlocks(), Full: []thinVolume{{"vg/o", "uuid", 1, 5}}},
		{Name: "lv.3", Everything: true, blocks: roaring64.New()},
	} {
		b, err := n.marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseNote(b, n.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Dumps, n.Dumps) || got.Group != n.Group ||
			got.Everything != n.Everything || !got.blocks.Equals(n.blocks) ||
			!slices.Equal(got.Full, n.Full) {
			t.Errorf("%+v, want %+v", got, n)
		}
		if _, err := parseNote(b, "lv.4"); err == nil {
			t.Error("a note under another name is believed")
		}
		for i := range b {
			if _, err := parseNote(b[:i], n.Name); err == nil {
				t.Errorf("the first %d of %d bytes are a note", i, len(b))
			}
		}
		b[len(b)/2] ^= 1
		if _, err := parseNote(b, n.Name); err == nil {
			t.Error("a bit that flipped isn't noticed")
		}
	}
}

// Of a set that the library would take, or allocate anything for.
func TestNoteHostile(t *testing.T) {
	n := &note{Name: "lv.2", blocks: roaring64.New()}
	plain, err := n.marshal()
	if err != nil {
		t.Fatal(err)
	}
	head := plain[:len(plain)-16] // without the set's count and the sum
	set := func(b *roaring64.Bitmap) []byte {
		text, err := b.ToBytes()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, set := range map[string][]byte{
		"2^31 bitmaps":      binary.LittleEndian.AppendUint64(nil, 1<<31),
		"all bits":          bytes.Repeat([]byte{0xff}, 40),
		"past every volume": set(roaring64.BitmapOf(math.MaxUint64)),
		"more behind":       append(set(roaring64.BitmapOf(3)), 0),
		"cut":               set(manyBlocks())[:60],
		"keys in no order": append(binary.LittleEndian.AppendUint64(nil, 2),
			slices.Concat(set(roaring64.BitmapOf(1 << 33))[8:], set(roaring64.BitmapOf(1))[8:])...),
		"nothing, not empty": append(make([]byte, 8), 1),
	} {
		if got, err := parseNote(sealed(append(bytes.Clone(head), set...)), n.Name); err == nil {
			t.Errorf("%s: read as %v", name, got.blocks)
		}
	}
	long := bytes.Clone(plain[:len(plain)-8])
	binary.LittleEndian.PutUint32(long[len(noteMagic):], math.MaxUint32)
	if _, err := parseNote(sealed(long), n.Name); err == nil {
		t.Error("a text of 4 GiB is taken")
	}
}

// What is noted too often, or makes too long a note, is everything.
func TestNoteAdd(t *testing.T) {
	n := newNote("lv.2")
	n.add(&note{blocks: roaring64.BitmapOf(1),
		Full: []thinVolume{{"vg/o", "uuid", 1, 5}}, Group: "vg"})
	others := []thinVolume{
		{"vg/other", "uuid", 1, 5}, {"vg/o", "uuid", 2, 5}, {"vg/o", "uuid", 1, 6},
	}
	n.add(&note{blocks: roaring64.BitmapOf(2), Full: others, Group: "new"})
	if n.Everything || !n.blocks.Equals(roaring64.BitmapOf(1, 2)) ||
		len(n.Full) != 3 || n.Group != "new" {
		t.Errorf("%+v", n)
	}
	for i := range uint32(maxFull) {
		n.add(&note{blocks: roaring64.New(), Full: []thinVolume{{"vg/o", "uuid", 10 + i, 5}}})
	}
	if !n.Everything || n.Full != nil || !n.blocks.IsEmpty() {
		t.Errorf("%+v", n)
	}
	n.add(&note{blocks: roaring64.BitmapOf(1)})
	if !n.Everything || !n.blocks.IsEmpty() {
		t.Errorf("%+v", n)
	}
}

// last is the id of the last dump that is in the note.
func (n *note) last() uuid.UUID {
	if ids := n.ids(); len(ids) > 0 {
		return ids[len(ids)-1]
	}
	return uuid.Nil
}

// Of the dumps that are in a note the last ones are told of, and those of the volume's own first.
func TestNoteDumps(t *testing.T) {
	n, full := newNote("lv.2"), uuid.New()
	n.add(&note{blocks: roaring64.New(), Dumps: []noted{{ID: full}}})
	for i := range byte(100) {
		n.add(&note{blocks: roaring64.New(), Dumps: []noted{{uuid.UUID{i}, true}}})
	}
	if ids := n.ids(); len(ids) != format.MaxNotedBefore || ids[0] != full ||
		ids[1] != (uuid.UUID{100 - 63}) || n.last() != (uuid.UUID{99}) {
		t.Errorf("there are %d: %v", len(ids), ids)
	}
	for i := range byte(100) {
		n.add(&note{blocks: roaring64.New(), Dumps: []noted{{ID: uuid.UUID{i}}}})
	}
	if ids := n.ids(); len(ids) != format.MaxNotedBefore || ids[0] != (uuid.UUID{100 - 64}) ||
		n.last() != (uuid.UUID{99}) {
		t.Errorf("of the volume's own there are %d: %v", len(ids), ids)
	}
	n.add(&note{blocks: roaring64.New(), Dumps: []noted{{full, true}}})
	if ids := n.ids(); len(ids) != format.MaxNotedBefore || n.last() != full {
		t.Errorf("behind those of the volume's own there are %d: %v", len(ids), ids)
	}
}

// FuzzNote reads notes with a right sum: what is damaged beyond that must neither panic nor take
// memory, here or where it's used.
func FuzzNote(f *testing.F) {
	for _, blocks := range []*roaring64.Bitmap{
		roaring64.New(), span(0, 100000), roaring64.BitmapOf(3, 1<<33), manyBlocks(),
	} {
		n := &note{Name: "lv.2", Dumps: []noted{{ID: uuid.UUID{1}}}, Group: "vg", blocks: blocks,
			Full: []thinVolume{{"vg/o", "uuid", 1, 5}}}
		b, err := n.marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-8])
		set := len(b) - 8 - int(blocks.GetSerializedSizeInBytes())
		for at := set; at < min(set+40, len(b)-8); at += 3 { // among the counts and keys
			hostile := bytes.Clone(b[:len(b)-8])
			hostile[at] ^= 0xff
			f.Add(hostile)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNote(sealed(bytes.Clone(b)), "lv.2")
		if err != nil {
			return
		}
		set := roaring64.AndNot(n.blocks, span(3, 9))
		set.Or(span(5, 10))
		set.And(span(0, 1000))
		for it := set.Iterator(); it.HasNext(); {
			it.Next()
		}
		n.add(&note{blocks: span(7, 70000)})
		again, err := n.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseNote(again, "lv.2"); err != nil || !got.blocks.Equals(n.blocks) {
			t.Errorf("%v, want %v: %v", got, n, err)
		}
	})
}

// A live system has its folders in memory: that is told.
func TestNotesInMemory(t *testing.T) {
	before := sentDir
	t.Cleanup(func() { sentDir = before })
	if sentDir = t.TempDir(); NotesInMemory() != "" {
		t.Skip("the test's own folders are in memory")
	}
	dir, err := os.MkdirTemp("/dev/shm", "")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	if sentDir = dir; NotesInMemory() == "" {
		t.Error("notes in a tmpfs are taken for durable")
	}
}
