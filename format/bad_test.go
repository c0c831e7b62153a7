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

	"lvmsync/format/internal/vectortest"
)

const (
	badDir    = "../testdata/bad"
	goldenDir = "../testdata/golden"
)

var vectors = slices.Concat(headerVectors, jsonVectors, frameVectors, orderVectors, endVectors,
	undoVectors, mergedVectors)

// TestBad reads every file of testdata/bad and compares the verdicts.
func TestBad(t *testing.T) {
	if *vectortest.Update {
		for _, v := range vectors {
			name := filepath.Join(badDir, v.name)
			vectortest.Create(t, name+".lvmpatch", v.bytes(t))
			vectortest.Create(t, name+".txt", []byte(v.verdicts()))
		}
	}
	for _, name := range vectortest.Glob(t, badDir+"/*.lvmpatch") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".lvmpatch"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > 80<<10 {
				t.Errorf("%d bytes are too many for an example", len(b))
			}
			want := vectortest.ParseVerdict(t, name)
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
	for _, name := range vectortest.Glob(t, badDir+"/*") {
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
