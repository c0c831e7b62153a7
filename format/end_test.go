package format

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"lvmsync/format/internal/frame"
)

// padded is the zeros that fill blocks of n bytes behind a patch.
func padded(patch []byte, n int) []byte { return make([]byte, n-len(patch)%n) }

// What can follow a patch: zeros, and on a device anything but another one, or a signature.
// It's the same in a stream, at random, and for a device.
func TestFollows(t *testing.T) {
	patch, signature := smallPatch(t, 0), frame.Head(frame.SignatureMagic, 1, []byte("{}"))
	noise := bytes.Repeat([]byte("old "), 200<<10)
	for name, test := range map[string]struct {
		behind []byte
		file   bool // it's taken from a file, and from a pipe
		device bool
	}{
		"nothing":              {nil, true, true},
		"a zero":               {[]byte{0}, false, true},
		"a zero too many":      {padded(patch, 1<<20+1), false, true},
		"the rest of a sector": {padded(patch, 512), true, true},
		"a tape's block":       {padded(patch, 1<<20), true, true},
		"a byte":               {[]byte{1}, false, true},
		"zeros and a byte":     {append(make([]byte, 1<<20), 1), false, true},
		"noise":                {noise, false, true},
		"a patch":              {patch, false, false},
		"a signature":          {signature, false, false},
		"zeros and a patch":    {append(make([]byte, 512), patch...), false, true},
		"the end of a patch":   {patch[len(patch)-frame.PatchEndSize-20:], false, true},
		"half a magic":         {patch[:15], false, true},
	} {
		t.Run(name, func(t *testing.T) {
			want := func(how string, ok bool, err error) {
				t.Helper()
				if ok && err != nil || !ok && !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: %v", how, err)
				}
			}
			b := slices.Concat(patch, test.behind)
			size := func(r io.Reader) error {
				pr, err := NewReader(r, ReaderOptions{})
				for err == nil {
					_, err = pr.Next()
				}
				if err == io.EOF {
					if err = nil; pr.Size() != int64(len(patch)) {
						t.Errorf("%d bytes, want %d", pr.Size(), len(patch))
					}
				}
				return err
			}
			want("stream", test.file, size(bytes.NewReader(b)))
			want("byte by byte", test.file, size(iotest.OneByteReader(bytes.NewReader(b))))
			want("device", test.device, size(OnDevice(bytes.NewReader(b))))
			_, err := readFile(b)
			want("at random", test.file, err)
			end, ok := End(bytes.NewReader(b), int64(len(b)))
			if test.file && (!ok || end != int64(len(patch))) {
				t.Errorf("ends at %d (%v), want %d", end, ok, len(patch))
			}
		})
	}
	broken := errors.New("broken")
	for _, r := range []io.Reader{io.MultiReader(bytes.NewReader(patch), iotest.ErrReader(broken)),
		io.MultiReader(bytes.NewReader(append(slices.Clone(patch), 0)), iotest.ErrReader(broken))} {
		if _, _, err := Verify(r); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
			t.Errorf("error %v", err)
		}
	}
}

// The end of a patch is found though its own last bytes are zeros; one that is cut or
// damaged is none if zeros follow, for a crash can leave that.
func TestEnd(t *testing.T) {
	for seen, n := 0, int64(512); seen < 3; n += 512 { // some of whose checksums end in a zero
		patch := write(t, testHeader(Delta, n), WriterOptions{}, []Extent{{n - 512, 512, Zero}})
		b := append(slices.Clone(patch), padded(patch, 1024)...)
		if end, ok := End(bytes.NewReader(b), int64(len(b))); !ok || end != int64(len(patch)) {
			t.Errorf("ends at %d (%v), not %d", end, ok, len(patch))
		}
		if _, err := readFile(b); err != nil {
			t.Error(err)
		}
		if patch[len(patch)-1] == 0 {
			seen++
		}
	}
	patch := smallPatch(t, 0)
	for zeros := 1; zeros < frame.PatchEndSize; zeros++ {
		b := append(slices.Clone(patch), padded(patch, 1024)...)
		clear(b[len(patch)-zeros : len(patch)])
		if end, ok := End(bytes.NewReader(b), int64(len(b))); ok {
			t.Errorf("%d bytes are zeros: ends at %d", zeros, end)
		}
		behindMagic := frame.PatchEndSize - frame.HeaderSize - len(frame.PatchEndMagic)
		if _, ok := End(bytes.NewReader(b), int64(len(patch))); ok != (zeros <= behindMagic) {
			t.Errorf("%d bytes are zeros at the end: %v", zeros, ok)
		}
		if from, ok := TornTrailer(bytes.NewReader(b), int64(len(patch))); ok !=
			(zeros <= behindMagic) || ok && from != int64(len(patch)-frame.PatchEndSize) {
			t.Errorf("%d bytes are zeros at the end: torn at %d, %v", zeros, from, ok)
		}
	}
	if _, ok := TornTrailer(bytes.NewReader(patch), int64(len(patch))); ok {
		t.Error("a right trailer is torn")
	}
	for cut := 1; cut <= len(patch); cut++ {
		if end, ok := End(bytes.NewReader(patch), int64(len(patch)-cut)); ok {
			t.Errorf("cut by %d: ends at %d", cut, end)
		}
	}
	for _, n := range []int64{0, 1, 71, 72, 512, 1 << 20} {
		if _, ok := End(bytes.NewReader(make([]byte, n)), n); ok {
			t.Errorf("%d zeros have an end", n)
		}
	}
}
