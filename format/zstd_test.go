package format

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/klauspost/compress/zstd"

	"lvmsync/format/internal/vectortest"
)

// zstdProgram runs the real zstd. That it takes every patch is part of the
// format, so a machine without it can't pass.
func zstdProgram(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("zstd", args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// contents unpacks the segments' frames one by one, as the index places them.
func contents(t *testing.T, patch []byte) []byte {
	t.Helper()
	f, err := OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for i, e := range f.Index() {
		end := f.trailer.index
		if i+1 < len(f.Index()) {
			end = f.Index()[i+1].Offset
		}
		if all, err = dec.DecodeAll(patch[e.Offset:end], all); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func checkZstd(t *testing.T, patch []byte) {
	t.Helper()
	zstdProgram(t, patch, "-t", "-q")
	if !bytes.Equal(zstdProgram(t, patch, "-dc"), contents(t, patch)) {
		t.Error("zstd -dc gives other bytes than the segments hold")
	}
}

func TestZstdProgramTakesGolden(t *testing.T) {
	names := vectortest.Glob(t, goldenDir+"/*.lvmpatch")
	for i, patch := range golden(t, goldenDir+"/*.lvmpatch") {
		t.Run(filepath.Base(names[i]), func(t *testing.T) { checkZstd(t, patch) })
	}
}

func TestZstdProgramTakesLevels(t *testing.T) {
	for name, test := range roundTrips {
		t.Run(name, func(t *testing.T) {
			for _, level := range []int{0, 1, 3, 6, MaxLevel} {
				checkZstd(t, write(t, testHeader(Delta, test.size), WriterOptions{Level: level},
					test.segments...))
			}
		})
	}
}

// TestZstdProgramFrames takes segments that the zstd program has compressed.
func TestZstdProgramFrames(t *testing.T) {
	for _, args := range [][]string{{"-1"}, {"-9"}, {"--ultra", "-22"}, {"-3", "--long=23"}} {
		p := deltaPatch()
		for _, s := range p.segments {
			s.frame = func(content []byte) []byte {
				size := []string{"--stream-size=" + strconv.Itoa(len(content)), "-c", "-q"}
				return zstdProgram(t, content, append(size, args...)...)
			}
		}
		got, err := readStream(bytes.NewReader(p.bytes(t)))
		if err != nil {
			t.Errorf("%v: %v", args, err)
			continue
		}
		want, err := readStream(bytes.NewReader(deltaPatch().bytes(t)))
		if err != nil || !got.equal(want) {
			t.Errorf("%v: another content (%v)", args, err)
		}
	}
}
