package format

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/frame"
)

// benchSegments are the contents of a patch of 64 MiB, half of which compresses.
const benchSegments = 32

func benchPatch(b *testing.B, out io.Writer, level int, data [][]byte) {
	b.Helper()
	w, err := NewWriter(out, testHeader(Delta, benchSegments*MaxSegmentData),
		WriterOptions{Level: level})
	if err != nil {
		b.Fatal(err)
	}
	off := int64(0)
	for _, d := range data {
		s := w.NewSegment()
		for n := 0; n < len(d); n += 4096 {
			s.Records = append(s.Records, Record{Extent: Extent{off, 4096, Data}})
			off += 8192
		}
		s.Data = append(s.Data, d...)
		if err := w.Write(s); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

func benchData() [][]byte {
	rnd := rand.NewChaCha8([32]byte{4})
	data := make([][]byte, benchSegments)
	for i := range data {
		data[i] = make([]byte, 2<<20)
		for n := 0; n < len(data[i]); n += 4096 {
			rnd.Read(data[i][n : n+2048])
			copy(data[i][n+2048:], bytes.Repeat([]byte("the same again, "), 128))
		}
	}
	return data
}

// allCores calls do for each number below n on all cores and tells how long it
// took.
func allCores(n int, do func(int)) time.Duration {
	begin := time.Now()
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return time.Since(begin)
}

// BenchmarkWriter compares writing a patch with nothing but compressing the same
// data on all cores, in the same run. Level 0 is compared with level 1.
func BenchmarkWriter(b *testing.B) {
	data := benchData()
	for _, level := range []int{0, 1, 3} {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			enc, err := zstd.NewWriter(nil,
				zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(max(level, 1))))
			if err != nil {
				b.Fatal(err)
			}
			var alone time.Duration
			b.SetBytes(benchSegments * 2 << 20)
			for b.Loop() {
				benchPatch(b, io.Discard, level, data)
				b.StopTimer()
				alone += allCores(len(data), func(i int) { enc.EncodeAll(data[i], nil) })
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(alone), "x-EncodeAll")
		})
	}
}

// BenchmarkReader compares reading a patch with nothing but decompressing its
// segments on all cores.
func BenchmarkReader(b *testing.B) {
	var patch bytes.Buffer
	benchPatch(b, &patch, 1, benchData())
	f, err := OpenFile(bytes.NewReader(patch.Bytes()), int64(patch.Len()))
	if err != nil {
		b.Fatal(err)
	}
	dec, err := frame.NewDecoder(0)
	if err != nil {
		b.Fatal(err)
	}
	places := append([]IndexEntry{}, f.Index()...)
	places = append(places, IndexEntry{Offset: f.trailer.index})
	var alone time.Duration
	b.SetBytes(benchSegments * 2 << 20)
	for b.Loop() {
		if _, _, err := Verify(bytes.NewReader(patch.Bytes())); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		alone += allCores(benchSegments, func(i int) {
			out := make([]byte, 0, frame.MaxContent)
			if _, err := dec.DecodeAll(patch.Bytes()[places[i].Offset:places[i+1].Offset],
				out); err != nil {
				b.Error(err)
			}
		})
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed())/float64(alone), "x-DecodeAll")
}
