package format

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"lvmsync/format/internal/vectortest"
)

// Whatever is wrong with a patch, the message is one line of words of the
// format, no longer than people read, without anything that a terminal acts upon, and
// without negative numbers: there are none in the format.
func TestBadMessages(t *testing.T) {
	check := func(name string, err error) {
		if err == nil {
			return
		}
		vectortest.CheckShort(t, name, err)
		if !errors.Is(err, ErrTruncated) {
			vectortest.CheckMessage(t, err)
		}
	}
	for _, v := range vectors {
		b := v.bytes(t)
		_, err := readStream(bytes.NewReader(b))
		_, fileErr := readFile(b)
		check(v.name, err)
		check(v.name+", at random", fileErr)
	}
	for _, e := range []Extent{{-512, 512, Data}, {0, -512, Zero}, {1<<63 - 512, 1024, Data},
		{-1 << 63, -1 << 63, Zero}} {
		if text := e.String(); strings.Contains(text, "-") {
			t.Errorf("an extent is shown as %s", text)
		}
	}
}
