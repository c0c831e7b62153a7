package thick

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"

	"lvmsync/dump"
	"lvmsync/dump/internal/patchtest"
	"lvmsync/format"
	"lvmsync/format/refine"
)

// The patch of each captured snapshot turns the base into the origin, and holds
// whole chunks: every one that the kernel listed and no other.
func TestCapturedSnapshots(t *testing.T) {
	for _, c := range capturedSnapshots(t) {
		t.Run(c.Name, func(t *testing.T) {
			ctx := context.Background()
			src, err := OpenStore(ctx, c.cow, c.origin, false, false)
			if !c.Valid {
				if !errors.Is(err, dump.ErrIncomplete) {
					t.Fatalf("an overflowed store gives %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			var patch bytes.Buffer
			if _, err := dump.Run(ctx, src.Source, &patch, dump.Options{Level: 1}); err != nil {
				t.Fatal(err)
			}
			volume, err := os.ReadFile(c.base)
			if err != nil {
				t.Fatal(err)
			}
			got := layOver(t, volume, &patch)
			if sum := fmt.Sprintf("%x", sha256.Sum256(volume)); sum != c.Expected.ResultSHA256 {
				t.Errorf("the base becomes %s, want %s", sum, c.Expected.ResultSHA256)
			}
			var want []format.Extent
			for _, run := range c.Expected.ChangedChunks {
				off := run[0] * c.ChunkBytes
				want = append(want,
					format.Extent{Off: off, Len: min(run[1]*c.ChunkBytes, int64(len(volume))-off)})
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("extents (-want +got):\n%s", d)
			}
		})
	}
}

// Store and origin tell what the snapshot holds. An exact delta holds what differs
// between that and the origin, nothing else, and says what it replaces.
func TestCapturedExact(t *testing.T) {
	for _, c := range capturedSnapshots(t) {
		if !c.Valid {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			src, err := OpenStore(t.Context(), c.cow, c.origin, true, false)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			origin := read(t, c.origin)
			base := make([]byte, len(origin))
			_, err = src.Base.ReadAt(base, 0)
			if sum := fmt.Sprintf("%x", sha256.Sum256(base)); err != nil || sum != c.Snapshot {
				t.Fatalf("the snapshot has %s, want %s (%v)", sum, c.Snapshot, err)
			}
			var patch bytes.Buffer
			report, err := dump.Run(t.Context(), src.Source, &patch, dump.Options{ExactBase: true})
			if err != nil {
				t.Fatal(err)
			}
			differ := int64(0)
			for e := range refine.Runs(0, origin, base) {
				differ += e.Len
			}
			if got := report.Totals.Bytes(); got != differ {
				t.Errorf("%d bytes in the patch, %d differ", got, differ)
			}
			checkBaseHashes(t, bytes.NewReader(patch.Bytes()), base)
			if layOver(t, base, &patch); !bytes.Equal(base, origin) {
				t.Error("the base does not become the origin")
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func checkBaseHashes(t *testing.T, patch io.Reader, base []byte) {
	t.Helper()
	r, err := format.NewReader(patch, format.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Header().Base.Exact {
		t.Error("the header does not say that the base is exact")
	}
	for {
		s, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range s.Records {
			if !x.HasBase || x.BaseHash != xxhash.Sum64(base[x.Off:x.End()]) {
				t.Fatalf("%v: wrong base hash", x)
			}
		}
		s.Release()
	}
}

// layOver writes a patch's extents over a volume and returns them, joined where
// they touch, as data.
func layOver(t *testing.T, volume []byte, patch io.Reader) (extents []format.Extent) {
	t.Helper()
	for _, x := range slices.Concat(patchtest.LayOver(t, volume, patch)...) {
		if n := len(extents); n > 0 && extents[n-1].End() == x.Off {
			extents[n-1].Len += x.Len
		} else {
			extents = append(extents, format.Extent{Off: x.Off, Len: x.Len})
		}
	}
	return extents
}

// An origin that grew after the snapshot is sent whole past the old end, from
// the chunk on that the old end lies in.
func TestGrownOrigin(t *testing.T) {
	const chunk, before = 65536, 4198400 // of the captured snapshot
	for _, c := range capturedSnapshots(t) {
		if c.Name != "c64k-partial" {
			continue
		}
		l := new(lone)
		if err := l.open(c.cow, c.origin); err != nil {
			t.Fatal(err)
		}
		defer l.close()
		changed, err := l.list(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		src := differ(format.Source{}, version{data: sized(3*chunk + 512)}, version{data: l.origin},
			changed)
		var last format.Extent
		total := int64(0)
		for e := range src.Extents {
			last = e
			total += e.Len
		}
		if last.Off > 3*chunk || last.End() != before {
			t.Errorf("the last extent is %v, want one from chunk 3 or before to the end", last)
		}
		if h := src.Header; h.Planned.Bytes != total {
			t.Errorf("%d bytes planned, %d in the extents", h.Planned.Bytes, total)
		}
	}
}

// What can't be origin and store of each other is refused.
func TestOpenStoreErrors(t *testing.T) {
	var c captured
	for _, c = range capturedSnapshots(t) {
		if c.Name == "c4k-few" {
			break
		}
	}
	small := filepath.Join(t.TempDir(), "small.img")
	if err := os.WriteFile(small, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, paths := range map[string][2]string{
		"one and the same":    {c.cow, c.cow},
		"no store":            {c.base, c.origin},
		"origin too small":    {c.cow, small},
		"missing store":       {c.cow + "x", c.origin},
		"missing origin":      {c.cow, c.origin + "x"},
		"store not written":   {small, c.origin},
		"folder for a device": {filepath.Dir(c.cow), c.origin},
	} {
		if src, err := OpenStore(context.Background(), paths[0], paths[1], false,
			false); err == nil {
			src.Close()
			t.Errorf("%s: no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}
