package thin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	"github.com/klauspost/compress/zstd"

	"lvmsync/dump/devmapper"
	"lvmsync/dump/internal/dmtest"
	"lvmsync/dump/thin/metadata"
	"lvmsync/format/storage/kernel"
)

const (
	poolBlock  = 64 << 10
	volumeSize = 10551296 // of the volumes of pool64k
)

// A shown is a machine with the captured pool of pool64k (testdata/thin): its metadata while a
// metadata snapshot is reserved, and its volumes o, s, a snapshot of that, and other. Of the
// volumes nothing is read but their sizes.
type shown struct {
	*dmtest.Machine
	t        *testing.T
	dir      string
	metadata string // the unpacked image
	meta     kernel.DevNum
	pool     kernel.DevNum
	held     uint64
	paths    map[string]string
	nums     map[string]kernel.DevNum
	ids      map[string]uint32
	captured *metadata.Metadata
	mapped   map[string]*roaring64.Bitmap
	changed  *roaring64.Bitmap // from s to o
}

const poolStatus = "0 131072 thin-pool 5 10/512 60/1024 %s rw no_discard_passdown " +
	"queue_if_no_space - 1024"

func show(t *testing.T) *shown {
	s := &shown{Machine: dmtest.New(t), t: t, dir: t.TempDir(),
		paths: map[string]string{}, nums: map[string]kernel.DevNum{},
		ids: map[string]uint32{}, mapped: map[string]*roaring64.Bitmap{}}
	locks, notes := lockDir, sentDir
	t.Cleanup(func() { lockDir, sentDir = locks, notes })
	lockDir, sentDir = filepath.Join(s.dir, "locks"), filepath.Join(s.dir, "sent")
	s.readCaptured()
	s.meta, s.pool = s.Loop(s.metadata), s.Loop(s.file(1<<20))
	s.Message(s.pool, "reserve_metadata_snap",
		fmt.Sprintf("echo '"+poolStatus+"' >$d/status.1; echo reserved >>$d/told",
			fmt.Sprint(s.held)))
	s.Message(s.pool, "release_metadata_snap",
		fmt.Sprintf("echo '"+poolStatus+"' >$d/status.1; echo released >>$d/told", "-"))
	for _, name := range []string{"o", "s", "other"} {
		s.nums[name], s.paths[name] = s.Loop(s.file(volumeSize)), "vg/"+name
	}
	s.reset()
	return s
}

// showSeries shows the captured pool of pool128k: the volume o, its snapshots s1 and s2, and s1a, a
// snapshot of s1.
func showSeries(t *testing.T) *shown {
	const size, status = 20512768,
		"0 196608 thin-pool 4 69/512 173/768 %s rw discard_passdown queue_if_no_space - 128"
	s := &shown{Machine: dmtest.New(t), t: t, dir: t.TempDir(),
		paths: map[string]string{}, nums: map[string]kernel.DevNum{},
		ids:    map[string]uint32{"o": 1, "s1": 2, "s2": 3, "s1a": 4},
		mapped: map[string]*roaring64.Bitmap{}}
	locks, notes := lockDir, sentDir
	t.Cleanup(func() { lockDir, sentDir = locks, notes })
	lockDir, sentDir = filepath.Join(s.dir, "locks"), filepath.Join(s.dir, "sent")
	s.held = s.unpack("pool128k/tmeta-reserved.img.zst").HeldRoot()
	s.meta, s.pool = s.Loop(s.metadata), s.Loop(s.file(1<<20))
	s.Message(s.pool, "reserve_metadata_snap",
		fmt.Sprintf("echo '"+status+"' >$d/status.1; echo reserved >>$d/told", fmt.Sprint(s.held)))
	s.Message(s.pool, "release_metadata_snap",
		fmt.Sprintf("echo '"+status+"' >$d/status.1; echo released >>$d/told", "-"))
	for name := range s.ids {
		s.nums[name], s.paths[name] = s.Loop(s.file(size)), "vg/"+name
	}
	s.Device(s.pool, "vg-pool", fmt.Sprintf("0 196608 thin-pool %s 4095:1 256 0 0", s.meta))
	s.Status(s.pool, 1, fmt.Sprintf(status, "-"), "")
	s.tell("o", size, "", nil)
	s.tell("s1", size, "", ofOrigin)
	s.tell("s2", size, "", ofOrigin)
	s.tell("s1a", size, "", map[string]string{"origin": "s1", "origin_uuid": "uuid-of-s1"})
	return s
}

// reset has all as it was captured.
func (s *shown) reset() {
	s.Device(s.pool, "vg-pool", fmt.Sprintf("0 131072 thin-pool %s 4095:1 128 0 0", s.meta))
	s.Status(s.pool, 1, fmt.Sprintf(poolStatus, "-"), "")
	s.tell("o", volumeSize, "", nil)
	s.tell("s", volumeSize, "", ofOrigin)
	s.tell("other", volumeSize, "", nil)
}

// ofOrigin is what LVM says of a snapshot.
var ofOrigin = map[string]string{"origin": "o", "origin_uuid": "uuid-of-o"}

func (s *shown) file(size int64) string {
	s.t.Helper()
	f, err := os.CreateTemp(s.dir, "")
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	f.Close()
	return f.Name()
}

// tell says what a volume of the pool is: its size, its external origin if it has one, and what LVM
// says of it.
func (s *shown) tell(name string, size int64, external string, fields map[string]string) {
	s.t.Helper()
	num := s.nums[name]
	s.Device(num, "vg-"+name, strings.TrimSpace(fmt.Sprintf("0 %d thin %s %d %s",
		size/512, s.pool, s.ids[name], external)))
	row := map[string]string{"segtype": "thin", "pool_lv": "pool", "lv_attr": "Vwi-a-tz--",
		"thin_id": fmt.Sprint(s.ids[name])}
	for field, value := range fields {
		row[field] = value
	}
	s.LV("vg", name, num, row)
}

// external adds an external origin of so many bytes.
func (s *shown) external(name string, size int64, readOnly bool) kernel.DevNum {
	num := s.Loop(s.file(size))
	s.Device(num, "vg-"+name, fmt.Sprintf("0 %d linear 4095:3 0", size/512))
	if readOnly {
		s.ReadOnly(num)
	}
	return num
}

func (s *shown) readCaptured() {
	s.t.Helper()
	const dir = "../../testdata/thin"
	var manifest struct {
		Cases []struct {
			Name  string
			Views []struct {
				Image  struct{ File string }
				Deltas []struct {
					From, To string
					Changed  [][2]uint64 `json:"expected_changed_chunks"`
				}
				Devices []struct {
					Name   string
					ID     uint32 `json:"dev_id"`
					Mapped [][2]uint64
				}
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(text, &manifest)
	}
	if err != nil || manifest.Cases[0].Name != "pool64k" {
		s.t.Fatal("no captured pool", err)
	}
	view := manifest.Cases[0].Views[0]
	for _, d := range view.Devices {
		s.ids[d.Name], s.mapped[d.Name] = d.ID, ranges(d.Mapped)
	}
	if d := view.Deltas[0]; d.From != "s" || d.To != "o" {
		s.t.Fatal("the first delta is another one")
	}
	s.changed = ranges(view.Deltas[0].Changed)
	m := s.unpack(view.Image.File)
	s.held = m.HeldRoot()
}

// unpack unpacks metadata that were captured, and opens what the pool itself tells.
func (s *shown) unpack(name string) *metadata.Metadata {
	s.t.Helper()
	packed, err := os.Open(filepath.Join("../../testdata/thin", name))
	if err != nil {
		s.t.Fatal(err)
	}
	defer packed.Close()
	r, err := zstd.NewReader(packed)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	s.metadata = s.file(0)
	f, err := os.OpenFile(s.metadata, os.O_RDWR, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { f.Close() })
	size, err := io.Copy(f, r)
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := metadata.Open(f, size)
	if err != nil {
		s.t.Fatal(err)
	}
	s.captured = m
	return m
}

// created is when a volume was made, as the pool counts.
func (s *shown) created(volume string) uint32 {
	s.t.Helper()
	created, err := s.captured.Created(s.t.Context(), s.ids[volume])
	if err != nil {
		s.t.Fatal(err)
	}
	return created
}

// noteName is that of the note about a volume.
func (s *shown) noteName(volume string) string {
	s.t.Helper()
	return noteNameOf("uuid-of-"+volume, s.ids[volume], s.created(volume))
}

func ranges(runs [][2]uint64) *roaring64.Bitmap {
	set := roaring64.New()
	for _, r := range runs {
		set.AddRange(r[0], r[0]+r[1])
	}
	return set
}

// span is the blocks from one on up to another.
func span(from, to uint64) *roaring64.Bitmap { return ranges([][2]uint64{{from, to - from}}) }

// checkBlocks checks what is sent: as data, as zeros.
func (s *shown) checkBlocks(t *testing.T, src *Changes, data, zero *roaring64.Bitmap) {
	t.Helper()
	if src.data == nil || !src.data.Equals(data) {
		t.Errorf("data: %v, want %v", src.data, data)
	}
	if !src.zero.Equals(zero) {
		t.Errorf("zeros: %v, want %v", src.zero, zero)
	}
}

// checkReleased checks that the pool has no metadata snapshot any more.
func (s *shown) checkReleased(t *testing.T) {
	t.Helper()
	status, err := devmapper.StatusOfPool(context.Background(), s.pool)
	if err != nil || status.Held != 0 {
		t.Errorf("the metadata snapshot is still reserved: %v", err)
	}
}
