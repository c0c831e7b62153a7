package format

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"lvmsync/format/internal/frame"
)

// TestWriterRefuses gives a Writer one segment that breaks a rule, after a good
// one that ends at 4096.
func TestWriterRefuses(t *testing.T) {
	other := new(Pool).lend(newWriteBody())
	tests := map[string]struct {
		fill func(*Segment)
		want string // a part of the message
	}{
		"no extents":   {func(s *Segment) {}, "without extents"},
		"overlap":      {extents(Extent{3584, 512, Zero}), "overlaps"},
		"disorder":     {extents(Extent{8192, 512, Zero}, Extent{4096, 512, Zero}), "out of order"},
		"empty extent": {extents(Extent{8192, 0, Data}), "empty"},
		"past the end": {extents(Extent{1 << 20, 512, Zero}), "past the end"},
		"negative":     {extents(Extent{-512, 512, Zero}), "past the end"},
		"unaligned":    {extents(Extent{8193, 511, Data}), "aligned"},
		"no data": {func(s *Segment) { extents(Extent{8192, 512, Data})(s); s.Data = nil },
			"0 bytes of data for extents of 512"},
		"more data": {func(s *Segment) {
			extents(Extent{8192, 512,
				Data})(s)
			s.Data = s.Data[:513]
		},
			"513 bytes of data for extents of 512"},
		"huge extent": {func(s *Segment) {
			s.Records = []Record{{Extent: Extent{0, 1 << 40,
				Data}}}
		}, "larger than a segment"},
		"many extents": {extents(everyOther(MaxSegmentExtents + 1)...), "limit 8192"},
		"unknown kind": {func(s *Segment) {
			s.Records = []Record{{Extent: Extent{8192, 512,
				2}}}
		}, "unknown kind"},
		"too much data": {func(s *Segment) { tooMuchData(s) }, "limit 4194304"},
		"data elsewhere": {func(s *Segment) {
			extents(Extent{8192, 512,
				Data})(s)
			s.Data = make([]byte, 512)
		}, "NewSegment"},
		"other segment": {func(s *Segment) {
			extents(Extent{8192, 512,
				Zero})(other)
			*s = *other
		}, "NewSegment"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			w := startPatch(t, &out)
			s := w.NewSegment()
			test.fill(s)
			err := w.Write(s)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Write: %v, want %q in it", err, test.want)
			}
			checkDead(t, w, &out, err)
		})
	}
}

func extents(e ...Extent) func(*Segment) {
	return func(s *Segment) { fill(s, rand.NewChaCha8([32]byte{}), e) }
}

func tooMuchData(s *Segment) {
	s.Records = []Record{{Extent: Extent{8192, MaxSegmentData, Data}},
		{Extent: Extent{8 << 20, 512, Data}}}
	s.Data = append(s.Data[:MaxSegmentData], make([]byte, 512)...)
}

// startPatch writes the first segment of a delta, which ends at 4096.
func startPatch(t *testing.T, out io.Writer) *Writer {
	t.Helper()
	w, err := NewWriter(out, testHeader(Delta, 1<<20), WriterOptions{Level: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	extents(Extent{0, 4096, Data})(s)
	if err := w.Write(s); err != nil {
		t.Fatal(err)
	}
	return w
}

// checkDead checks that the Writer sticks to its error and never ends the patch.
func checkDead(t *testing.T, w *Writer, out *bytes.Buffer, want error) {
	t.Helper()
	for range 50 { // many more than the pool has
		s := w.NewSegment()
		extents(Extent{8192, 512, Data})(s)
		if err := w.Write(s); !errors.Is(err, want) {
			t.Fatalf("Write later: %v, want %v", err, want)
		}
	}
	if err := w.Close(); !errors.Is(err, want) {
		t.Errorf("Close: %v, want %v", err, want)
	}
	if err := w.Close(); err == nil {
		t.Error("a second Close works")
	}
	if bytes.Contains(out.Bytes(), []byte(frame.PatchEndMagic)) ||
		bytes.Contains(out.Bytes(), []byte(indexMagic)) {
		t.Error("the patch has an index or a trailer")
	}
	if _, err := readStream(bytes.NewReader(out.Bytes())); !errors.Is(err, ErrTruncated) &&
		!errors.Is(err, ErrNotPatch) {
		t.Errorf("what was written reads as %v", err)
	}
}

func TestWriterIncomplete(t *testing.T) {
	planned := testHeader(Delta, 1<<20)
	planned.Planned = &Planned{Extents: 1, Bytes: 1024}
	for name, h := range map[string]Header{"full patch": testHeader(Full, 1<<20),
		"planned bytes": planned} {
		var out bytes.Buffer
		w, err := NewWriter(&out, h, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s := w.NewSegment()
		extents(Extent{0, 512, Data})(s)
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
		err = w.Close()
		if err == nil {
			t.Errorf("%s: closed though bytes are missing", name)
		}
		if _, err := readStream(&out); !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: what was written reads as %v", name, err)
		}
	}
}

func TestWriterRefusesHeader(t *testing.T) {
	tests := map[string]func(*Header, *WriterOptions){
		"no id":       func(h *Header, _ *WriterOptions) { h.ID = [16]byte{} },
		"no kind":     func(h *Header, _ *WriterOptions) { h.Kind = "" },
		"no size":     func(h *Header, _ *WriterOptions) { h.VolumeSize = 0 },
		"granularity": func(h *Header, _ *WriterOptions) { h.Granularity = 513 },
		"unknown feature": func(h *Header,
			_ *WriterOptions) {
			h.RequiredFeatures = []string{"unheard-of"}
		},
		"long JSON": func(h *Header, _ *WriterOptions) {
			h.Host = strings.Repeat("h",
				frame.MaxJSON)
		},
		"level -1": func(_ *Header, o *WriterOptions) { o.Level = -1 },
		"level 20": func(_ *Header, o *WriterOptions) { o.Level = MaxLevel + 1 },
	}
	for name, spoil := range tests {
		h, o := testHeader(Delta, 1<<20), WriterOptions{}
		spoil(&h, &o)
		var out bytes.Buffer
		if _, err := NewWriter(&out, h, o); err == nil || out.Len() > 0 {
			t.Errorf("%s: error %v, %d bytes written", name, err, out.Len())
		}
	}
}

func TestWriterState(t *testing.T) {
	tests := map[string]struct {
		end     func(*Writer) error
		verdict string
	}{
		"close":        {func(w *Writer) error { return w.Close() }, "ok"},
		"abort":        {func(w *Writer) error { w.Abort(); return nil }, "truncated"},
		"abort, abort": {func(w *Writer) error { w.Abort(); w.Abort(); return nil }, "truncated"},
		"close, abort": {func(w *Writer) error { err := w.Close(); w.Abort(); return err }, "ok"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				w := startPatch(t, &out)
				if err := test.end(w); err != nil {
					t.Fatal(err)
				}
				size := out.Len()
				if err := w.Close(); err != ErrState {
					t.Errorf("Close: %v", err)
				}
				s := w.NewSegment()
				extents(Extent{8192, 512, Data})(s)
				if err := w.Write(s); err != ErrState {
					t.Errorf("Write: %v", err)
				}
				_, err := readStream(bytes.NewReader(out.Bytes()))
				if got := verdict(err); got != test.verdict || out.Len() != size {
					t.Errorf("patch of %d bytes, then %d, is %q (%v)", size, out.Len(), got, err)
				}
			})
		})
	}
}

// What a caller leaves in fields that don't count does no harm.
func TestWriterIgnores(t *testing.T) {
	var out bytes.Buffer
	w := startPatch(t, &out)
	s := w.NewSegment()
	s.Records = append(s.Records, Record{Extent: Extent{8192, 512, Zero}, Hash: 7, BaseHash: 8})
	if err := w.Write(s); err != nil {
		t.Fatal(err)
	}
	s.Release() // handed over: does nothing
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := readStream(&out)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Record{Extent: Extent{8192, 512, Zero}}); c.Records[1] != want {
		t.Errorf("got %+v, want %+v", c.Records[1], want)
	}
}

// The trailer is not written before what it vouches for is safe, nor if that fails.
func TestBeforeTrailer(t *testing.T) {
	errNotSafe := errors.New("it is not safe")
	var whole, out bytes.Buffer
	for _, o := range []WriterOptions{{}, {BeforeTrailer: func() error {
		if out.Len() != whole.Len()-frame.PatchEndSize {
			t.Errorf("called behind %d of %d bytes", out.Len(), whole.Len())
		}
		return errNotSafe
	}}} {
		to := &whole
		if o.BeforeTrailer != nil {
			to = &out
		}
		w, err := NewWriter(to, testHeader(Delta, 4096), o)
		if err != nil {
			t.Fatal(err)
		}
		s := w.NewSegment()
		s.Records = append(s.Records, Record{Extent: Extent{0, 4096, Zero}})
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); (o.BeforeTrailer != nil) != errors.Is(err, errNotSafe) {
			t.Errorf("error %v", err)
		}
	}
	if out.Len() != whole.Len()-frame.PatchEndSize {
		t.Errorf("%d bytes were written, without the trailer it's %d",
			out.Len(), whole.Len()-frame.PatchEndSize)
	}
}
