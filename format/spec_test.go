package format

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/internal/frame"
	"lvmsync/format/internal/strictjson"
	"lvmsync/format/internal/vectortest"
)

const (
	specFile     = "../docs/format.md"
	exampleBegin = "<!-- example: written by go test ./format -run TestSpecExample -update -->\n" +
		"```text\n"
	exampleEnd = "```\n<!-- end of example -->"
)

func spec(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(specFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// specPatch is the patch of the worked example: a sector of zeros, then ten
// bytes of data at the odd end of the volume.
func specPatch(t testing.TB) []byte {
	h := testHeader(Delta, 1034)
	h.Granularity = 512
	h.Tool, h.ToolVersion, h.Host, h.Source = "", "", "", Source{Type: "file"}
	var out bytes.Buffer
	w, err := NewWriter(&out, h, WriterOptions{Level: 0})
	if err != nil {
		t.Fatal(err)
	}
	s := w.NewSegment()
	s.Records = append(s.Records, Record{Extent: Extent{512, 512, Zero}},
		Record{Extent: Extent{1024, 10, Data}})
	s.Data = append(s.Data, "ten bytes!"...)
	if err := w.Write(s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestSpecExample compares the example in docs/format.md with what the Writer
// makes, and reads what the document shows.
func TestSpecExample(t *testing.T) {
	doc, patch := spec(t), specPatch(t)
	before, rest, ok := strings.Cut(doc, exampleBegin)
	shown, after, ok2 := strings.Cut(rest, exampleEnd)
	if !ok || !ok2 {
		t.Fatal("the document has no example")
	}
	want := annotate(patch)
	if *vectortest.Update && shown != want {
		if err := os.WriteFile(specFile, []byte(before+exampleBegin+want+exampleEnd+after),
			0o666); err != nil {
			t.Fatal(err)
		}
		shown = want
	}
	if d := cmp.Diff(shown, want); d != "" {
		t.Errorf("the example (-document +Writer):\n%s", d)
	}
	var b []byte
	for line := range strings.Lines(shown) {
		digits := strings.ReplaceAll(line[6:6+3*16], " ", "")
		if off := fmt.Sprintf("%04x", len(b)); line[:4] != off {
			t.Fatalf("line %q is at %s", line, off)
		}
		part, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		b = append(b, part...)
	}
	if !bytes.Equal(b, patch) {
		t.Error("the document's bytes are not the Writer's")
	}
	c, err := readStream(bytes.NewReader(b))
	if err != nil || string(c.Data) != "ten bytes!" {
		t.Errorf("the document's bytes hold %q (%v)", c.Data, err)
	}
}

// TestSpecRules checks the table of rules against testdata/bad: each file stands
// in the row of its verdict, once.
func TestSpecRules(t *testing.T) {
	_, rules, _ := strings.Cut(spec(t), "\n## What a reader checks\n")
	rules, _, ok := strings.Cut(rules, "\n### Reading at random\n")
	if !ok {
		t.Fatal("the document has no rules")
	}
	row := regexp.MustCompile(`(?m)^\| \d+ \| .* \| ([a-z ]+) \| ([^|]*) \|$`)
	name := regexp.MustCompile("`([a-z0-9-]+)`")
	verdicts := make(map[string]string)
	for _, m := range row.FindAllStringSubmatch(rules, -1) {
		names := name.FindAllStringSubmatch(m[2], -1)
		if len(names) == 0 && !strings.Contains(m[2], "none") {
			t.Errorf("a rule without an example: %s", m[0])
		}
		for _, n := range names {
			if verdicts[n[1]] != "" {
				t.Errorf("%s is an example of two rules", n[1])
			}
			verdicts[n[1]] = m[1]
		}
	}
	for _, file := range vectortest.Glob(t, badDir+"/*.lvmpatch") {
		n := strings.TrimSuffix(filepath.Base(file), ".lvmpatch")
		want := vectortest.ParseVerdict(t, file)["expect"]
		if verdicts[n] != want {
			t.Errorf("%s is %q, its rule says %q", n, want, verdicts[n])
		}
		delete(verdicts, n)
	}
	for n := range verdicts {
		t.Errorf("%s is not in testdata/bad", n)
	}
}

// TestSpecNames checks that the document has every limit and every JSON name.
func TestSpecNames(t *testing.T) {
	doc := spec(t)
	for _, n := range []int{SectorSize, frame.MaxJSON, MaxSegmentData, MaxSegmentExtents,
		frame.MaxContent, frame.MaxSize, frame.MaxWindow, MaxSamples, MaxPlaces, MaxSnapshots,
		MaxMerged, MaxStatePatches, MaxMergedSources,
		frame.PatchEndSize, strictjson.MaxNesting, frame.MinSize} {
		if !strings.Contains(doc, fmt.Sprintf("| %d |", n)) {
			t.Errorf("the limit %d is missing", n)
		}
	}
	var shown []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|").FindAllStringSubmatch(doc,
		-1) {
		shown = append(shown, m[1])
	}
	want := jsonNames(reflect.TypeFor[Header](), "")
	slices.Sort(shown)
	slices.Sort(want)
	if d := cmp.Diff(want, shown); d != "" {
		t.Errorf("JSON names (-code +document):\n%s", d)
	}
}

func jsonNames(typ reflect.Type, prefix string) (names []string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, prefix+name)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner == reflect.TypeFor[MergedPart]() {
			continue // which has names of the header again
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == typ.PkgPath() {
			names = append(names, jsonNames(inner, prefix+name+".")...)
		}
	}
	return names
}
