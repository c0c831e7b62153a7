// Package vectortest has what the tests of patches and of signatures share: files with a
// verdict beside them, broken on purpose.
package vectortest

import (
	"encoding/binary"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/cespare/xxhash/v2"
)

var le = binary.LittleEndian

// Update makes tests create what is missing.
var Update = flag.Bool("update", false,
	"create the patches of testdata that are missing and rewrite the example in docs/format.md")

// Glob finds the files of testdata that a test needs. None is a failure.
func Glob(t testing.TB, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("no file matches %s", pattern)
	}
	return names
}

// Create makes a file if it's missing. One that is there stays as it is.
func Create(t testing.TB, name string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return
	}
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ParseVerdict reads the text beside a patch.
func ParseVerdict(t testing.TB, patch string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(strings.TrimSuffix(patch, ".lvmpatch") + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("%s: verdict has the line %q", patch, line)
		}
		fields[key] = value
	}
	return fields
}

// Seal changes the frame if it's wanted and appends its checksum.
func Seal(b []byte, edit func([]byte) []byte) []byte {
	if edit != nil {
		b = edit(b)
	}
	return le.AppendUint64(b, xxhash.Sum64(b))
}

// Put32 and put64 return an edit that overwrites an integer at an offset.
func Put32(at int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte { le.PutUint32(b[at:], v); return b }
}

func Put64(at int, v uint64) func([]byte) []byte {
	return func(b []byte) []byte { le.PutUint64(b[at:], v); return b }
}

// CheckMessage wants an error in words of the format, of one short line.
func CheckMessage(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	for _, inner := range []string{"Go ", "struct", "invalid character", "jsontext", "unmarshal",
		"parsing time", "strconv", "format."} {
		if strings.Contains(strings.NewReplacer(`\"`, "").Replace(OutsideQuotes(text)), inner) {
			t.Fatalf("message: %s", text)
		}
	}
	if len(text) > 1000 || strings.Contains(text, "\n") || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("message of %d bytes: %.2000s", len(text), text)
	}
}

// OutsideQuotes is what a message says in its own words.
func OutsideQuotes(text string) string {
	var own strings.Builder
	for text != "" {
		if quoted, err := strconv.QuotedPrefix(text); err == nil {
			text = text[len(quoted):]
			continue
		}
		own.WriteByte(text[0])
		text = text[1:]
	}
	return own.String()
}

// Allocated returns how many bytes f allocates.
func Allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

var negative = regexp.MustCompile(`(^|[^0-9A-Za-z"])-[0-9]`)

// CheckShort wants a message no longer than people read, without anything that a terminal
// acts upon, and without negative numbers: there are none in the format.
func CheckShort(t *testing.T, name string, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 300 ||
		strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%s: message of %d bytes: %.400q", name, len(text), text)
	}
	if own := OutsideQuotes(text); negative.MatchString(own) {
		t.Errorf("%s: %s", name, own)
	}
}
