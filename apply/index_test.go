package apply

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"

	"lvmsync/format"
)

// hugeIndex makes a patch, as a file that is nearly all hole, the index of which claims to
// have that many entries. Room is for as many segments, before it.
func hugeIndex(t *testing.T, kind format.Kind, count, room int64) *os.File {
	t.Helper()
	var head bytes.Buffer
	w, err := format.NewWriter(&head, format.Header{ID: uuid.New(), Kind: kind, Created: time.Now(),
		VolumeSize: 1 << 50, Granularity: 512}, format.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	le := binary.LittleEndian
	index := int64(head.Len()) + room
	b := append(le.AppendUint32(le.AppendUint32(nil, 0x184D2A5D), uint32(24+24*count)),
		"LVMINDEX"...)
	b = le.AppendUint64(b, uint64(count))
	b = le.AppendUint64(b, uint64(head.Len())) // the first entry is right
	b = le.AppendUint64(le.AppendUint64(b, 0), 512)
	end := append(le.AppendUint32(le.AppendUint32(nil, 0x184D2A5D), 64), "LVMTRAIL"...)
	for _, n := range []int64{count, count, 0, 512 * count, index, 0} {
		end = le.AppendUint64(end, uint64(n))
	}
	end = le.AppendUint64(end, xxhash.Sum64(end))
	f, err := os.Create(filepath.Join(t.TempDir(), "huge.lvmpatch"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for at, piece := range map[int64][]byte{0: head.Bytes(), index: b, index + 32 + 24*count: end} {
		if _, err := f.WriteAt(piece, at); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// A small file with an index that claims to be large costs a chain no memory, wherever it
// stands in it.
func TestHugeIndexInChain(t *testing.T) {
	const count = 2 << 20
	for name, room := range map[string]int64{"no room for segments": 0,
		"room for segments": 14 * count} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 2 {
			patches := []Patch{
				{Name: "first", Reader: hugeIndex(t, format.Delta, count, room)},
				{Name: "second", Reader: hugeIndex(t, format.Delta, count, room)},
			}
			_, err := Verify(context.Background(), patches, VerifyOptions{})
			if !errors.Is(err, format.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
			_, err = Verify(context.Background(), []Patch{{Name: "alone",
				Reader: io.NewSectionReader(patches[0].Reader.(*os.File), 0, 1<<62)}},
				VerifyOptions{})
			if !errors.Is(err, format.ErrCorrupt) {
				t.Errorf("%s, alone: %v", name, err)
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
			t.Errorf("%s: %d MiB", name, n>>20)
		}
	}
}
