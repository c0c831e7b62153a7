package format

import (
	"bytes"
	"testing"
)

// undoVectors are undo patches without their end which are damaged where a crash can't
// have torn them. Any other patch without its end is truncated.
var undoVectors = []vector{
	{name: "undo-damaged", expect: "corrupt segment", file: "truncated",
		why: "an undo patch without its end, damaged in the second of six segments; " +
			"the four behind it hold 64 MiB", make: func(t testing.TB) []byte {
			const each = 16 << 20
			h := testHeader(Undo, 6*each)
			h.Base = &Base{Exact: true}
			var out bytes.Buffer
			w, err := NewWriter(&out, h, WriterOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var ends []int
			for i := range int64(6) {
				s := w.NewSegment()
				s.Records = append(s.Records, Record{Extent: Extent{i * each, each, Zero},
					BaseHash: uint64(1 + i), HasBase: true})
				if err := w.Write(s); err != nil {
					t.Fatal(err)
				}
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
				ends = append(ends, out.Len())
			}
			b := bytes.Clone(out.Bytes())
			w.Abort()
			b[ends[1]-10] ^= 1
			return b
		}},
}
