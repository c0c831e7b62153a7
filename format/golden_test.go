package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// goldenPatches made the files of testdata/golden, once: they pin version 1 and
// are never made anew. To add one, add it here and run the test with -update.
var goldenPatches = map[string]func(testing.TB) []byte{
	"delta-stored": func(t testing.TB) []byte { return smallPatch(t, 0) },
	"delta-compressed": func(t testing.TB) []byte {
		return write(t, testHeader(Delta, 1<<20), WriterOptions{Level: 3},
			[]Extent{{0, 4096, Data}, {8192, 64 << 10, Zero}},
			[]Extent{{128 << 10, 8192, Data}}, []Extent{{1<<20 - 512, 512, Zero}})
	},
	"delta-empty": func(t testing.TB) []byte {
		return write(t, testHeader(Delta, 1<<20),
			WriterOptions{})
	},
	"full-odd-size": func(t testing.TB) []byte {
		h := testHeader(Full, 70001)
		h.Planned = &Planned{Extents: 1, Bytes: 70001}
		return write(t, h, WriterOptions{Level: 1},
			[]Extent{{0, 4096, Data}, {4096, 32768, Zero}}, []Extent{{36864, 1024, Data},
				{37888, 32113, Zero}})
	},
	"full-odd-data": func(t testing.TB) []byte {
		return write(t, testHeader(Full, 1001), WriterOptions{},
			[]Extent{{0, 512, Zero}, {512, 489, Data}})
	},
	"undo": func(t testing.TB) []byte {
		return write(t, testHeader(Undo, 64<<10), WriterOptions{Level: 1},
			[]Extent{{512, 1024, Data}, {2048, 512, Zero}})
	},
	"delta-base-hashes": func(t testing.TB) []byte {
		p := deltaPatch()
		p.header.Base = &Base{Exact: true, Snapshot: "b8LkVD-31Kd-lWW3-OAhG-CmhY-LOdX-4eIXQd"}
		for i := range p.segments[0].records {
			r := &p.segments[0].records[i]
			r.HasBase, r.BaseHash = true, xxhash.Sum64(make([]byte, r.Len))
		}
		return p.bytes(t)
	},
	"delta-exact": func(t testing.TB) []byte {
		p := deltaPatch()
		p.header.Base = &Base{
			Exact: true, Snapshot: "b8LkVD-31Kd-lWW3-OAhG-CmhY-LOdX-4eIXQd",
			SnapshotCreated: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC),
			Patch:           uuid.MustParse("5f2d8f3e-9d0c-4a7b-8a5e-3c1b2a495867"),
			Fingerprint:     Fingerprint{{Offset: 4096 * 12, Hash: 0xfedcba9876543210}},
		}
		p.header.State = &State{Snapshot: "C9MlWE-42Le-mXX4-PBiH-DniZ-MPeY-5fJYRe"}
		p.header.Planned = &Planned{Extents: 9, Bytes: 60000}
		for i := range p.segments[0].records {
			r := &p.segments[0].records[i]
			r.HasBase, r.BaseHash = true, xxhash.Sum64(make([]byte, r.Len))
		}
		return p.bytes(t)
	},
	"delta-hash-seed": func(t testing.TB) []byte {
		h := testHeader(Delta, 64<<10)
		h.RequiredFeatures = []string{BaseHashSeed}
		h.Base, h.Start = &Base{Exact: true, HashSeed: 0x1234}, 512
		var out bytes.Buffer
		w, err := NewWriter(&out, h, WriterOptions{Level: 1})
		if err != nil {
			t.Fatal(err)
		}
		s := w.NewSegment()
		s.Records = append(s.Records, Record{Extent: Extent{4096, 4096, Zero}, HasBase: true,
			BaseHash: hashOfZeros(0x1234, 4096)})
		if err := errors.Join(w.Write(s), w.Close()); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	},
	"delta-lost": func(t testing.TB) []byte {
		p := deltaPatch()
		lost(1, 1|4)(p)
		return p.bytes(t)
	},
	"delta-lost-none": func(t testing.TB) []byte {
		h := testHeader(Delta, 64<<10)
		h.RequiredFeatures = []string{LostSectors}
		return write(t, h, WriterOptions{Level: 1}, []Extent{{0, 512, Data}, {1024, 1024, Zero}})
	},
	"header-unknown-fields": func(t testing.TB) []byte {
		v := vector{edit: jsonText(`"volume`, `"colour":{"of":["the","sky"]},`+
			`"source":{"type":"tape","reel":7},`+"\n\t"+`"planned":null,"volume`)}
		return v.bytes(t)
	},
	"header-shortest": func(t testing.TB) []byte {
		return vector{edit: jsonText(`"created":"2026-01-02T03:04:05Z",`, "")}.bytes(t)
	},
	"zstd-forms": zstdForms,
}

// zstdForms makes a patch of frames that are unusual and right: a window of 8
// MiB, a content size in 8 bytes, a dictionary of number 0, which is none,
// blocks of the type RLE, empty blocks.
func zstdForms(t testing.TB) []byte {
	p := deltaPatch()
	p.segments[0].frame = rawFrame(3<<6|1<<2|3, 13<<3, 0, 0, 0, 0, 0x80, 4, 0, 0, 0, 0, 0, 0)
	s := newRaw(Extent{4096, 0, Data})
	s.set(0, 4096, 64<<10-4096)
	s.data = make([]byte, 64<<10-4096)
	s.records[0].Hash = xxhash.Sum64(s.data)
	s.frame = func(content []byte) []byte {
		b := append(le.AppendUint32(nil, frame.Zstd), 2<<6|1<<5|1<<2)
		b = le.AppendUint32(b, uint32(len(content)))
		block := func(typ, n int, last ...byte) {
			header := n<<3 | typ<<1
			b = append(append(b, byte(header), byte(header>>8), byte(header>>16)), last...)
		}
		const raw, rle = 0, 1
		block(raw, 0)
		block(raw, 48, content[:48]...)
		block(rle, len(content)-48, 0)
		block(raw, 0)
		b[len(b)-3] |= 1 // the last one
		return le.AppendUint32(b, uint32(xxhash.Sum64(content)))
	}
	p.segments[1] = s
	return p.bytes(t)
}

// volume lays the extents over zeros. Only for small volumes.
func (c *content) volume() []byte {
	b := make([]byte, c.Header.VolumeSize)
	data := c.Data
	for _, r := range c.Records {
		if r.Kind == Data {
			copy(b[r.Off:r.End()], data)
			data = data[r.Len:]
		}
	}
	return b
}

// goldenVerdict is the text beside a golden patch.
func goldenVerdict(c *content) string {
	sum := sha256.Sum256(c.volume())
	return fmt.Sprintf(
		"expect: ok\nkind: %s\nvolume-size: %d\nextents: %d\nzero-bytes: %d\nsha256: %s\n",
		c.Header.Kind, c.Header.VolumeSize, len(c.Records), c.Totals.ZeroBytes, hex.EncodeToString(
			sum[:]))
}

func TestGolden(t *testing.T) {
	if *vectortest.Update {
		for name, generate := range goldenPatches {
			b := generate(t)
			c, err := readStream(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			vectortest.Create(t, filepath.Join(goldenDir, name+".lvmpatch"), b)
			vectortest.Create(t, filepath.Join(goldenDir, name+".txt"), []byte(goldenVerdict(c)))
		}
	}
	files := vectortest.Glob(t, goldenDir+"/*.lvmpatch")
	if len(files) != len(goldenPatches) {
		t.Errorf("%d golden patches, there were %d", len(files), len(goldenPatches))
	}
	for i, b := range golden(t, goldenDir+"/*.lvmpatch") {
		t.Run(strings.TrimSuffix(filepath.Base(files[i]), ".lvmpatch"), func(t *testing.T) {
			checkGolden(t, b, vectortest.ParseVerdict(t, files[i]))
		})
	}
}

func checkGolden(t *testing.T, b []byte, want map[string]string) {
	t.Helper()
	c, err := readStream(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("Reader: %v", err)
	}
	fromFile, err := readFile(b)
	if err != nil {
		t.Fatalf("File: %v", err)
	}
	if d := cmp.Diff(c, fromFile); d != "" {
		t.Errorf("Reader and File differ (-Reader +File):\n%s", d)
	}
	sum := sha256.Sum256(c.volume())
	got := map[string]string{
		"expect":      "ok",
		"kind":        string(c.Header.Kind),
		"volume-size": strconv.FormatInt(c.Header.VolumeSize, 10),
		"extents":     strconv.Itoa(len(c.Records)),
		"zero-bytes":  strconv.FormatInt(c.Totals.ZeroBytes, 10),
		"sha256":      hex.EncodeToString(sum[:]),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("verdict (-want +got):\n%s", d)
	}
	seed := uint64(0)
	if c.Header.Base != nil {
		seed = uint64(c.Header.Base.HashSeed)
	}
	for _, r := range c.Records {
		if zeros := hashOfZeros(seed, r.Len); r.HasBase && r.BaseHash != zeros {
			t.Errorf("%v: base hash %#x, want that of zeros", r.Extent, r.BaseHash)
		}
	}
}

func hashOfZeros(seed uint64, n int64) uint64 {
	sum := xxhash.NewWithSeed(seed)
	sum.Write(make([]byte, n))
	return sum.Sum64()
}
