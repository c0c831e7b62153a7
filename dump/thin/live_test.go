//go:build lvm

package thin

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"lvmsync/dump/thin/metadata"
)

func sh(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, errs.String())
	}
	return out.String()
}

// volumeIDs are the ids that thin volumes have in their pool.
func volumeIDs(t *testing.T, lvs []string) (ids []uint32) {
	t.Helper()
	for _, lv := range lvs {
		var id uint32
		if _, err := fmt.Sscan(sh(t, "lvs", "--noheadings", "-o", "thin_id", "like/"+lv),
			&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// What changed between all pairs of volumes of a pool with a random history is what thin_delta
// says.
func TestLikeThinDelta(t *testing.T) {
	disk, _, _ := strings.Cut(os.Getenv("LVMSYNC_TEST_DISKS"), " ")
	for seed, chunk := range []string{"64k", "320k"} {
		t.Run(chunk, func(t *testing.T) {
			sh(t, "vgcreate", "-qq", "-y", "-s", "4k", "like", disk)
			t.Cleanup(func() {
				sh(t, "vgremove", "-qq", "-ff", "-y", "like")
				sh(t, "pvremove", "-qq", "-ff", "-y", disk)
			})
			sh(t, "lvcreate", "-qq", "-y", "-c", chunk, "-L", "1800m",
				"--poolmetadatasize", "8m", "-T", "like/pool")
			lvs := history(t, rand.New(rand.NewPCG(uint64(seed), 1)))
			compareAll(t, lvs)
		})
	}
}

// history makes volumes, snapshots of them and of snapshots, writes and discards. Blocks are mapped
// in random order, over a range that takes trees of several levels.
func history(t *testing.T, rnd *rand.Rand) (lvs []string) {
	for _, name := range []string{"a", "b"} {
		sh(t, "lvcreate", "-qq", "-y", "-V", "1t", "-T", "like/pool", "-n", name)
		lvs = append(lvs, name)
	}
	for round := range 8 {
		name := lvs[rnd.IntN(len(lvs))]
		scribble(t, "/dev/like/"+name, rnd)
		if round%2 == 0 {
			snap := fmt.Sprintf("s%d", round)
			sh(t, "lvcreate", "-qq", "-y", "-s", "-kn", "-n", snap, "like/"+name)
			lvs = append(lvs, snap)
		}
		if round == 5 {
			sh(t, "lvremove", "-qq", "-y", "like/"+lvs[2])
			lvs = append(lvs[:2], lvs[3:]...)
		}
	}
	return lvs
}

// scribble writes to many places of a device, and discards some.
func scribble(t *testing.T, path string, rnd *rand.Rand) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const reach = 64 << 30
	near := rnd.Int64N(reach)
	for i := range 400 {
		off := rnd.Int64N(reach) / 512 * 512
		if i%2 == 0 {
			off = (near + rnd.Int64N(64<<20)) / 512 * 512
		}
		if _, err := f.WriteAt([]byte("something"), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		sh(t, "blkdiscard", "-o", fmt.Sprint(near/512*512),
			"-l", fmt.Sprint((rnd.Int64N(32<<20)+1<<20)/512*512), path)
	}
}

// compareAll compares all pairs under one metadata snapshot.
func compareAll(t *testing.T, lvs []string) {
	t.Helper()
	v, err := openVolume(t.Context(), "like/"+lvs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	p, err := openPool(t.Context(), v.target.Pool)
	if err != nil {
		t.Fatal(err)
	}
	ids := volumeIDs(t, lvs)
	pairs := 0
	err = p.read(t.Context(), func(m *metadata.Metadata) error {
		for _, a := range ids {
			for _, b := range ids {
				if a != b {
					pairs++
					compareOne(t, p, m, a, b)
				}
			}
		}
		return nil
	})
	if err != nil || pairs == 0 {
		t.Fatalf("%d pairs: %v", pairs, err)
	}
}

func compareOne(t *testing.T, p *pool, m *metadata.Metadata, a, b uint32) {
	t.Helper()
	d, err := m.Diff(context.Background(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	mapped, unmapped := thinDelta(t, p.target.Metadata.Path(), a, b)
	for what, sets := range map[string][2]*roaring64.Bitmap{
		"mapped": {d.Mapped, mapped}, "unmapped": {d.Unmapped, unmapped},
	} {
		if differ := roaring64.Xor(sets[0], sets[1]); !differ.IsEmpty() {
			t.Errorf("%d to %d: %s: %d blocks are not what thin_delta says, the first is %d",
				a, b, what, differ.GetCardinality(), differ.Minimum())
		}
	}
}

// thinDelta asks the real thin_delta.
func thinDelta(t *testing.T, path string, a, b uint32) (mapped, unmapped *roaring64.Bitmap) {
	t.Helper()
	out := sh(t, "thin_delta", "-m", "--thin1", fmt.Sprint(a), "--thin2", fmt.Sprint(b), path)
	mapped, unmapped = roaring64.New(), roaring64.New()
	dec := xml.NewDecoder(strings.NewReader(out))
	for {
		token, err := dec.Token()
		if err != nil {
			return mapped, unmapped
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		var begin, length uint64
		for _, attr := range start.Attr {
			switch attr.Name.Local {
			case "begin":
				fmt.Sscan(attr.Value, &begin)
			case "length":
				fmt.Sscan(attr.Value, &length)
			}
		}
		switch start.Name.Local {
		case "different", "right_only":
			mapped.AddRange(begin, begin+length)
		case "left_only":
			unmapped.AddRange(begin, begin+length)
		}
	}
}
