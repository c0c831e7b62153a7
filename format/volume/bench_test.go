package volume

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

const (
	benchSize  = 64 << 20
	benchBlock = 64 << 10 // of change
)

// benchPatch writes a patch with all of the volume, or with changed blocks here and there, in
// segments as a dump makes them.
func benchPatch(b testing.TB, rnd *rand.Rand, kind format.Kind, changed int64) []byte {
	b.Helper()
	var out bytes.Buffer
	w, err := format.NewWriter(&out, patchtest.Header(kind, benchSize), format.WriterOptions{Level: 1})
	if err != nil {
		b.Fatal(err)
	}
	s := w.NewSegment()
	block := make([]byte, benchBlock)
	blocks := int64(benchSize / benchBlock)
	for i, left := int64(0), changed/benchBlock; i < blocks; i++ {
		if rnd.Int64N(blocks-i) >= left {
			continue
		}
		left--
		for at := 0; at < len(block); at += 16 { // half of it is old
			binary.LittleEndian.PutUint64(block[at:], rnd.Uint64()|0x2020)
			copy(block[at+8:at+16], block[at/(1+rnd.IntN(64)):])
		}
		r := format.Record{Extent: format.Extent{Off: i * benchBlock, Len: benchBlock}}
		if len(s.Data) == 1<<20 {
			if err := w.Write(s); err != nil {
				b.Fatal(err)
			}
			s = w.NewSegment()
		}
		if err := s.Add(r, block); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Write(s); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

func benchChain(b testing.TB, deltas int) (patches [][]byte) {
	rnd := rand.New(rand.NewPCG(1, 2))
	patches = append(patches, benchPatch(b, rnd, format.Full, benchSize))
	for range deltas {
		patches = append(patches, benchPatch(b, rnd, format.Delta, benchSize/100))
	}
	return patches
}

func benchOpen(b *testing.B, patches [][]byte, cache int64) *Volume {
	var chain []Patch
	for _, p := range patches {
		chain = append(chain, Patch{"patch", patchtest.Open(b, p)})
	}
	v, err := Open(chain, Options{Cache: cache})
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// decompress does nothing but that with the first patch, on all cores, and tells how long it took.
func decompress(b *testing.B, dec *zstd.Decoder, patch []byte) time.Duration {
	f := patchtest.Open(b, patch)
	begin := time.Now()
	next := make(chan []byte)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			buf := make([]byte, 0, 2<<20)
			for frame := range next {
				if _, err := dec.DecodeAll(frame, buf); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i, e := range f.Index() {
		end := int64(bytes.LastIndex(patch, []byte("LVMINDEX")) - 8)
		if i+1 < len(f.Index()) {
			end = f.Index()[i+1].Offset
		}
		next <- patch[e.Offset:end]
	}
	close(next)
	all.Wait()
	return time.Since(begin)
}

// BenchmarkSequential reads a chain from one end to the other, in pieces as the kernel asks
// for them, and compares that with nothing but decompressing the full patch, in the same run.
func BenchmarkSequential(b *testing.B) {
	for name, deltas := range map[string]int{"full": 0, "deltas=30": 30} {
		b.Run(name, func(b *testing.B) {
			patches := benchChain(b, deltas)
			dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0))
			if err != nil {
				b.Fatal(err)
			}
			defer dec.Close()
			var alone, cpuAlone, cpu time.Duration
			b.SetBytes(benchSize)
			buf := make([]byte, 128<<10)
			for b.Loop() {
				before := cpuTime()
				v := benchOpen(b, patches, 0)
				if _, err := io.CopyBuffer(onlyWriter{}, io.NewSectionReader(v, 0, v.Size()),
					buf); err != nil {
					b.Fatal(err)
				}
				v.Close()
				b.StopTimer()
				after := cpuTime()
				alone += decompress(b, dec, patches[0])
				cpu, cpuAlone = cpu+after-before, cpuAlone+cpuTime()-after
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(alone), "x-DecodeAll")
			b.ReportMetric(float64(cpu)/float64(cpuAlone), "cpu-x-DecodeAll")
		})
	}
}

// cpuTime is what the process has used so far: the machine may be busy with something else.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// onlyWriter has no other way than to be written to.
type onlyWriter struct{}

func (onlyWriter) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkRandom reads blocks of 4 KiB of what is in memory.
func BenchmarkRandom(b *testing.B) {
	v := benchOpen(b, benchChain(b, 30), 2*benchSize)
	defer v.Close()
	if _, err := io.Copy(io.Discard, io.NewSectionReader(v, 0, v.Size())); err != nil {
		b.Fatal(err)
	}
	rnd, buf := rand.New(rand.NewPCG(1, 1)), make([]byte, 4096)
	for b.Loop() {
		if _, err := v.ReadAt(buf, rnd.Int64N(benchSize/4096)*4096); err != nil {
			b.Fatal(err)
		}
	}
}
