package format

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// Whatever is wrong with a patch or a signature, the message is one line of words of the
// format, no longer than people read, without anything that a terminal acts upon, and
// without negative numbers: there are none in the format.
func TestBadMessages(t *testing.T) {
	negative := regexp.MustCompile(`(^|[^0-9A-Za-z"])-[0-9]`)
	check := func(name string, err error) {
		if err == nil {
			return
		}
		text := err.Error()
		if len(text) > 300 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s: message of %d bytes: %.400q", name, len(text), text)
		}
		if own := outsideQuotes(text); negative.MatchString(own) {
			t.Errorf("%s: %s", name, own)
		}
		if !errors.Is(err, ErrTruncated) {
			checkMessage(t, err)
		}
	}
	for _, v := range vectors {
		b := v.bytes(t)
		_, err := readStream(bytes.NewReader(b))
		_, fileErr := readFile(b)
		check(v.name, err)
		check(v.name+", at random", fileErr)
	}
	for _, v := range signatureVectors {
		_, err := VerifySignature(bytes.NewReader(v.bytes()))
		check(v.name+" (signature)", err)
	}
	for _, e := range []Extent{{-512, 512, Data}, {0, -512, Zero}, {1<<63 - 512, 1024, Data}, {-1 << 63, -1 << 63, Zero}} {
		if text := e.String(); strings.Contains(text, "-") {
			t.Errorf("an extent is shown as %s", text)
		}
	}
}

// After a write that failed, a signature goes no further, and is never ended.
func TestSignatureWriterErrorSticks(t *testing.T) {
	failed := errors.New("tape torn")
	var out bytes.Buffer
	k := &keepingWriter{Writer: &out}
	w, err := NewSignatureWriter(k, testSignatureHeader(1024, 512))
	if err != nil {
		t.Fatal(err)
	}
	var table SignatureTable
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
