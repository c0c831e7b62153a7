package format

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/vectortest"
)

// seed adds all golden and bad patches, but for the few that are long.
func seed(f *testing.F) {
	for _, pattern := range []string{goldenDir + "/*.lvmpatch", badDir + "/*.lvmpatch"} {
		for _, b := range golden(f, pattern) {
			if len(b) < 8192 {
				f.Add(b)
			}
		}
	}
}

// reseal makes the checksums right that a mutation has made wrong, as far as
// the parts can be told, so that fuzzing gets behind them.
func reseal(b []byte) []byte {
	b = bytes.Clone(b)
	put := func(begin, end int) bool {
		if begin < 0 || end > len(b) || end-begin < frame.SumSize {
			return false
		}
		le.PutUint64(b[end-frame.SumSize:], xxhash.Sum64(b[begin:end-frame.SumSize]))
		return true
	}
	if len(b) < 24 || !put(0, frame.HeaderSize+int(le.Uint32(b[4:]))) {
		return b
	}
	at := len(b) - frame.PatchEndSize
	index := bytes.LastIndex(b, []byte(indexMagic)) - frame.HeaderSize
	if at < 0 || index < 0 || index > at {
		return b
	}
	put(index, at)
	le.PutUint64(b[at+frame.HeaderSize+48:], xxhash.Sum64(b[:at]))
	put(at, len(b))
	return b
}

// FuzzReader: whatever reads as a patch, written again, reads the same, and a
// File agrees with the Reader.
func FuzzReader(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, reseal(b)} {
			c, err := readStream(bytes.NewReader(b))
			checkTyped(t, err)
			if err != nil {
				continue
			}
			fromFile, err := readFile(b)
			if err != nil || !fromFile.equal(c) {
				t.Fatalf("File: %v, or another content:\n%+v\n%+v", err, c, fromFile)
			}
			checkRewrite(t, c)
		}
	})
}

// checkTyped checks that an error in reading bytes has a verdict.
func checkTyped(t *testing.T, err error) {
	t.Helper()
	if v := verdict(err); strings.HasPrefix(v, "no verdict") || err != nil &&
		errors.Is(err, io.EOF) {
		t.Fatalf("error %v: %s", err, v)
	}
}

func checkRewrite(t *testing.T, c *content) {
	t.Helper()
	text, err := json.Marshal(&c.Header)
	if err != nil || len(text) > frame.MaxJSON {
		t.Skip("the header's JSON text grows when it is written again")
	}
	var out bytes.Buffer
	w, err := NewWriter(&out, c.Header, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data := c.Data
	for _, r := range c.Records {
		s := w.NewSegment()
		s.Records = append(s.Records, r)
		if r.Kind == Data {
			s.Data = append(s.Data, data[:r.Len]...)
			data = data[r.Len:]
		}
		if err := w.Write(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := readStream(&out)
	if err != nil {
		t.Fatal(err)
	}
	again.Totals.Segments = c.Totals.Segments
	if !again.equal(c) {
		t.Fatalf("written again it differs:\n%+v\n%+v", c, again)
	}
}

// FuzzOpenFile: no File is refused that a Reader takes, and the other way round
// but for what only a Reader can see.
func FuzzOpenFile(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, reseal(b)} {
			c, err := readFile(b)
			checkTyped(t, err)
			_, streamErr := readStream(bytes.NewReader(b))
			if err != nil && streamErr == nil {
				t.Fatalf("the Reader takes what the File refuses: %v", err)
			}
			var where *CorruptError
			if err == nil && streamErr != nil &&
				(!errors.As(streamErr, &where) || where.Part != "trailer") {
				t.Fatalf("the File takes what the Reader refuses: %v\n%+v", streamErr, c)
			}
		}
	})
}

// FuzzIndex: an index that can be read is written the same.
func FuzzIndex(f *testing.F) {
	for _, b := range golden(f, goldenDir+"/*.lvmpatch") {
		f.Add(b[bytes.LastIndex(b,
			[]byte(indexMagic))-frame.HeaderSize : len(b)-frame.PatchEndSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= frame.SumSize {
			b = vectortest.Seal(bytes.Clone(b[:len(b)-frame.SumSize]), nil)
		}
		var o output
		var entries []IndexEntry
		end := int64(1) << 62
		check := &indexCheck{end: end, order: extentOrder{volumeSize: end}}
		var checkErr error
		if err := readIndex(bytes.NewReader(b), func(int64) error { return nil },
			func(e IndexEntry) error {
				entries = append(entries, e)
				o.index.add(e)
				if checkErr == nil {
					checkErr = check.add(e)
				}
				return nil
			}); err != nil {
			return
		}
		var out bytes.Buffer
		o.w, o.sum = &out, xxhash.New()
		if err := o.writeIndex(); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b, out.Bytes()) {
			t.Fatalf("written again it differs:\n%x\n%x", b, out.Bytes())
		}
		if checkErr != nil {
			return
		}
		last := IndexEntry{Offset: -frame.MinSize}
		for _, e := range entries {
			if e.Offset < last.Offset+frame.MinSize || e.Offset > end-frame.MinSize ||
				e.Start < last.End || e.Start >= e.End || e.End > end {
				t.Fatalf("entry %+v is accepted after %+v", e, last)
			}
			last = e
		}
	})
}

// FuzzFrame: a frame that can be read decompresses to what another decoder of
// zstd makes of it.
func FuzzFrame(f *testing.F) {
	for _, patch := range golden(f, goldenDir+"/*.lvmpatch") {
		if at := bytes.Index(patch, le.AppendUint32(nil, frame.Zstd)); at >= 0 {
			f.Add(patch[at:])
		}
	}
	dec, err := frame.NewDecoder(1)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := frame.Read(bufio.NewReader(bytes.NewReader(b)), nil)
		if !bytes.HasPrefix(b, fr.Bytes) {
			t.Fatal("the frame is not the input's")
		}
		if err != nil {
			return
		}
		s := body{frame: fr.Bytes, content: fr.Content}
		decodeErr := s.decode(dec)
		if fr.Content > frame.MaxContent || cap(s.buf) > frame.MaxContent {
			t.Fatalf("content of %d bytes, buffer of %d", fr.Content, cap(s.buf))
		}
		if decodeErr != nil {
			return
		}
		stream, err := zstd.NewReader(bytes.NewReader(fr.Bytes), zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		want, err := io.ReadAll(stream)
		if err != nil || !bytes.Equal(want, s.buf[:len(want)]) || len(want) != fr.Content {
			t.Fatalf("another decoder gives %d bytes and %v for %d", len(want), err, fr.Content)
		}
	})
}
