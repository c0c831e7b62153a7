package e2e

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// BenchmarkDump measures the main job, without LVM: a volume of 4 GiB of which
// 5% have changed in chunks of 4 KiB, all over the place, with the data in
// cache. What it prints is how many times as long as "zstd -1 -T2" takes for
// the same data lying side by side, in the same run.
func BenchmarkDump(b *testing.B) {
	const chunk, volume = 4096, 4 << 30
	dir := b.TempDir()
	rnd := rand.New(rand.NewPCG(1, 2))
	changed := rnd.Perm(volume / chunk)[:volume/chunk/20]
	cow, origin, extracted := filepath.Join(dir, "cow.img"), filepath.Join(dir, "origin.img"), filepath.Join(dir, "extracted")
	writeStore(b, cow, chunk, changed)
	if err := writeChunks(origin, extracted, volume, chunk, changed); err != nil {
		b.Fatal(err)
	}
	var dump, zstd time.Duration
	for b.Loop() {
		zstd += elapsed(b, exec.Command("sh", "-c", `zstd -1 -T2 -q -c "$1" >/dev/null`, "sh", extracted))
		dump += elapsed(b, exec.Command("sh", "-c", `lvmsync-dump -q --cow "$1" "$2" >/dev/null`, "sh", cow, origin))
	}
	b.ReportMetric(dump.Seconds()/zstd.Seconds(), "dump/zstd")
	b.ReportMetric(dump.Seconds()/float64(b.N), "s/dump")
	b.ReportMetric(zstd.Seconds()/float64(b.N), "s/zstd")
}

func elapsed(b *testing.B, cmd *exec.Cmd) time.Duration {
	b.Helper()
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return time.Since(start)
}

// writeChunks fills the changed chunks of a sparse origin with data that
// compresses like text and binaries do, about by half, and writes the same side
// by side to extracted.
func writeChunks(origin, extracted string, volume, chunk int64, changed []int) error {
	o, err := os.Create(origin)
	if err != nil {
		return err
	}
	defer o.Close()
	x, err := os.Create(extracted)
	if err != nil {
		return err
	}
	defer x.Close()
	rnd := rand.New(rand.NewPCG(3, 4))
	words := make([]string, 4096)
	for i := range words {
		words[i] = strconv.FormatUint(rnd.Uint64(), 36)[:2+rnd.IntN(8)]
	}
	b := make([]byte, 0, chunk+16)
	for _, n := range changed {
		for b = b[:0]; len(b) < int(chunk); {
			b = append(append(b, words[int(float64(len(words))*rnd.Float64()*rnd.Float64())]...), ' ')
		}
		_, err := o.WriteAt(b[:chunk], int64(n)*chunk)
		_, err2 := x.Write(b[:chunk])
		if err := errors.Join(err, err2); err != nil {
			return err
		}
	}
	return o.Truncate(volume)
}
