//go:build !race

package format

import (
	"bytes"
	"io"
	"runtime"
	"testing"
)

// Neither writing nor reading a patch allocates anything for each segment. (The race
// detector makes pools forget.)
func TestNoAllocationPerSegment(t *testing.T) {
	content := bytes.Repeat([]byte("much the same, "), 64<<10/15)
	content = content[:len(content)/SectorSize*SectorSize]
	write := func(w io.Writer, segments int, level int) {
		pw, err := NewWriter(w, testHeader(Delta, 1<<40), WriterOptions{Level: level})
		if err != nil {
			t.Fatal(err)
		}
		for i := range segments {
			s := pw.NewSegment()
			s.Records = append(s.Records,
				Record{Extent: Extent{int64(i) << 20, int64(len(content)), Data}})
			s.Data = append(s.Data, content...)
			if err := pw.Write(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := pw.Close(); err != nil {
			t.Fatal(err)
		}
	}
	patch := func(segments int) io.Reader {
		var b bytes.Buffer
		write(&b, segments, 1)
		return &b
	}
	const few, many = 50, 1050
	short, long := patch(few), patch(many)
	for name, do := range map[string]func(segments int){
		"stored":     func(n int) { write(io.Discard, n, 0) },
		"compressed": func(n int) { write(io.Discard, n, 1) },
		"read": func(n int) {
			in := short
			if n == many {
				in = long
			}
			if _, totals, err := Verify(in); err != nil || totals.Segments != int64(n) {
				t.Error(totals, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			mallocs := func(segments int) int64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				do(segments)
				runtime.ReadMemStats(&after)
				return int64(after.Mallocs - before.Mallocs)
			}
			a, b := mallocs(few), mallocs(many)
			if perSegment := float64(b-a) / (many - few); perSegment > 0.5 {
				t.Errorf("%.2f allocations a segment: %d for %d, %d for %d",
					perSegment, a, few, b, many)
			}
		})
	}
}
