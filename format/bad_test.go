package format

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	badDir    = "../testdata/bad"
	goldenDir = "../testdata/golden"
)

var vectors = slices.Concat(headerVectors, jsonVectors, frameVectors, orderVectors, endVectors, undoVectors)

// glob finds the files of testdata that a test needs. None is a failure.
func glob(t testing.TB, pattern string) []string {
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

// create makes a file if it's missing. One that is there stays as it is.
func create(t testing.TB, name string, b []byte) {
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

// parseVerdict reads the text beside a patch.
func parseVerdict(t testing.TB, patch string) map[string]string {
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

// TestBad reads every file of testdata/bad and compares the verdicts.
func TestBad(t *testing.T) {
	if *update {
		for _, v := range vectors {
			name := filepath.Join(badDir, v.name)
			create(t, name+".lvmpatch", v.bytes(t))
			create(t, name+".txt", []byte(v.verdicts()))
		}
	}
	for _, name := range glob(t, badDir+"/*.lvmpatch") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".lvmpatch"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > 80<<10 {
				t.Errorf("%d bytes are too many for an example", len(b))
			}
			want := parseVerdict(t, name)
			if want["why"] == "" {
				t.Error("the verdict has no reason")
			}
			if want["file"] == "" {
				want["file"] = want["expect"]
			}
			checkVerdicts(t, b, want["expect"], want["file"])
		})
	}
}

func checkVerdicts(t *testing.T, b []byte, stream, file string) {
	t.Helper()
	_, err := readStream(bytes.NewReader(b))
	if got := verdict(err); got != stream {
		t.Errorf("Reader: %q (%v), want %q", got, err, stream)
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("Reader: %v is io.EOF, which means success", err)
	}
	h, totals, err := Verify(bytes.NewReader(b))
	if got := verdict(err); got != stream {
		t.Errorf("Verify: %q (%v), want %q", got, err, stream)
	}
	if err != nil && (h.VolumeSize != 0 || totals != Totals{}) {
		t.Errorf("Verify: header and totals come with the error %v", err)
	}
	_, err = readFile(b)
	if got := verdict(err); got != file {
		t.Errorf("File: %q (%v), want %q", got, err, file)
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("File: %v is io.EOF", err)
	}
}

// TestVectors checks that each vector, made anew, has its verdict too, that
// testdata/bad holds it, and nothing else.
func TestVectors(t *testing.T) {
	var names []string
	for _, v := range vectors {
		if v.file == "" {
			v.file = v.expect
		}
		checkVerdicts(t, v.bytes(t), v.expect, v.file)
		names = append(names, filepath.Join(badDir, v.name+".lvmpatch"))
		text, err := os.ReadFile(filepath.Join(badDir, v.name+".txt"))
		if err != nil {
			t.Error(err)
		} else if v.file == v.expect && strings.Contains(string(text), "file: ") {
			t.Errorf("%s: the verdict on file has another file line", v.name)
		}
	}
	for _, name := range glob(t, badDir+"/*") {
		if !slices.Contains(names, strings.TrimSuffix(name, filepath.Ext(name))+".lvmpatch") {
			t.Errorf("%s comes from no vector", name)
		}
	}
}

// TestRawPatch checks that what the vectors break is valid before.
func TestRawPatch(t *testing.T) {
	checkVerdicts(t, deltaPatch().bytes(t), "ok", "ok")
	checkVerdicts(t, fullPatch().bytes(t), "ok", "ok")
	checkVerdicts(t, vector{edit: jsonText("}", "}")}.bytes(t), "ok", "ok")
	checkVerdicts(t, large(everyOther(MaxSegmentExtents)...)(t), "ok", "ok")
	checkVerdicts(t, large(Extent{0, MaxSegmentData, Data})(t), "ok", "ok")
	checkVerdicts(t, full([]Extent{{0, 3000, Zero}})(t), "ok", "ok")
}
