package sigfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format"
	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/patchtest"
	"lvmsync/format/internal/vectortest"
)

// Whatever is wrong with a signature, the message is one short line of words of the format.
func TestBadMessages(t *testing.T) {
	for _, v := range vectors {
		_, err := Verify(bytes.NewReader(v.bytes()))
		vectortest.CheckShort(t, v.name, err)
		if !errors.Is(err, format.ErrTruncated) {
			vectortest.CheckMessage(t, err)
		}
	}
}

// A keepingWriter keeps what it was given last, and fails if it's told to.
type keepingWriter struct {
	io.Writer
	err  error
	last []byte
}

func (k *keepingWriter) Write(b []byte) (int, error) {
	k.last = b
	if k.err != nil {
		return 0, k.err
	}
	return k.Writer.Write(b)
}

// After a write that failed, a signature goes no further, and is never ended.
func TestWriterErrorSticks(t *testing.T) {
	failed := errors.New("tape torn")
	var out bytes.Buffer
	k := &keepingWriter{Writer: &out}
	w, err := NewWriter(k, testHeader(1024, 512))
	if err != nil {
		t.Fatal(err)
	}
	var table Table
	table.Resize(0, 1)
	k.err = failed
	if err := w.Write(&table); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	k.err = nil
	size, kept := out.Len(), bytes.Clone(k.last)
	table.Resize(1, 1)
	if err := w.Write(&table); !errors.Is(err, failed) || !bytes.Equal(k.last, kept) {
		t.Errorf("goes on: %v", err)
	}
	if err := w.Close(); !errors.Is(err, failed) || out.Len() != size || errors.Is(err, io.EOF) {
		t.Errorf("ended: %v, %d bytes more", err, out.Len()-size)
	}
}

type countReader struct {
	r io.Reader
	n int64
}

func (c *countReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// zeros is an endless stream of them.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A signature has no index; what it claims to hold costs nothing either.
func TestHostile(t *testing.T) {
	h := testHeader(1<<62, 512)
	head, err := h.marshal()
	if err != nil {
		t.Fatal(err)
	}
	in := &countReader{r: io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, 1<<30))}
	n := vectortest.Allocated(func() { _, err = Verify(in) })
	if err == nil || n > 2<<20 || in.n > 1<<20 {
		t.Errorf("%d KiB for %d KiB of input: %v", n>>10, in.n>>10, err)
	}
}

// What can follow a signature: zeros, and on a device anything but another one, or a patch.
func TestFollows(t *testing.T) {
	signature, patch := validSignature().bytes(), patchtest.Write(t,
		patchtest.Header(format.Delta, 4096))
	padding := func(n int) []byte { return make([]byte, n-len(signature)%n) }
	for name, test := range map[string]struct {
		behind []byte
		file   bool // it's taken from a file, and from a pipe
		device bool
	}{
		"nothing":              {nil, true, true},
		"a zero":               {[]byte{0}, false, true},
		"a zero too many":      {padding(1<<20 + 1), false, true},
		"the rest of a sector": {padding(512), true, true},
		"a tape's block":       {padding(1 << 20), true, true},
		"a byte":               {[]byte{1}, false, true},
		"zeros and a byte":     {append(make([]byte, 1<<20), 1), false, true},
		"noise":                {bytes.Repeat([]byte("old "), 200<<10), false, true},
		"a patch":              {patch, false, false},
		"a signature":          {signature, false, false},
		"zeros and a patch":    {append(make([]byte, 512), patch...), false, true},
		"the end of one":       {signature[len(signature)-frame.SignatureEndSize-20:], false, true},
		"half a magic":         {signature[:15], false, true},
	} {
		want := func(how string, ok bool, err error) {
			if ok && err != nil || !ok && !errors.Is(err, format.ErrCorrupt) {
				t.Errorf("%s, in a %s: %v", name, how, err)
			}
		}
		b := slices.Concat(signature, test.behind)
		_, err := Verify(bytes.NewReader(b))
		want("file", test.file, err)
		_, err = Verify(format.OnDevice(bytes.NewReader(b)))
		want("device", test.device, err)
	}
}

// FuzzHeaderJSON: what is taken is an object in which no name is there twice, and what is
// written again is taken, and means the same.
func FuzzHeaderJSON(f *testing.F) {
	seed := func(b []byte) {
		if len(b) > 24 && len(b) < 8192 && int(le.Uint32(b[20:])) <= len(b)-24 {
			f.Add(b[24 : 24+le.Uint32(b[20:])])
		}
	}
	for _, v := range vectors {
		seed(v.bytes())
	}
	for _, pattern := range []string{"../../testdata/golden/*.lvmpatch",
		"../../testdata/bad/*.lvmpatch"} {
		for _, name := range vectortest.Glob(f, pattern) {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			seed(b)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, seeded, err := decodeHeader(text)
		if !utf8.Valid(text) || err != nil {
			return
		}
		if err := vectortest.PlainObject(text); err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		if again, err := json.Marshal(s); seeded && s.Validate() == nil && err == nil {
			back, _, err := decodeHeader(again)
			if err != nil || cmp.Diff(s, back) != "" {
				t.Fatalf("%s, written again as %s, is another one: %v", text, again, err)
			}
		}
	})
}
