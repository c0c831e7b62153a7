package sigfile

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

func testHeader(size, blockSize int64) Header {
	return Header{ID: uuid.UUID{1}, Tool: "test",
		Source: format.Source{Type: "file"}, VolumeSize: size, BlockSize: blockSize, Seed: 0xabc}
}

// signTables writes a signature with tables of the given numbers of blocks, filled at
// random.
func signTables(t testing.TB, h Header, rnd *rand.Rand, lengths ...int) (sig []byte,
	tables []Table) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, h)
	if err != nil {
		t.Fatal(err)
	}
	first := int64(0)
	for _, n := range lengths {
		var table Table
		table.Resize(first, n)
		for i := range n {
			if table.Zero[i] = rnd.IntN(3) == 0; !table.Zero[i] {
				table.Sums[i] = rnd.Uint64()
			}
		}
		if err := w.Write(&table); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
		first += int64(n)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Bytes() != int64(out.Len()) {
		t.Errorf("%d bytes told, %d written", w.Bytes(), out.Len())
	}
	return out.Bytes(), tables
}

// readTables reads a signature to its end.
func readTables(sig []byte) (h Header, tables []Table, err error) {
	r, err := NewReader(bytes.NewReader(sig))
	if err != nil {
		return h, nil, err
	}
	for {
		table, err := r.Next()
		if err == io.EOF {
			return r.Header(), tables, nil
		}
		if err != nil {
			return h, nil, err
		}
		tables = append(tables,
			Table{table.First, slices.Clone(table.Zero), slices.Clone(table.Sums)})
	}
}

// What is written is read.
func TestRoundTrip(t *testing.T) {
	for seed, lengths := range [][]int{{1}, {7}, {8}, {9, 1, 100}, {MaxTableBlocks},
		{MaxTableBlocks, MaxTableBlocks, 3}} {
		blocks := 0
		for _, n := range lengths {
			blocks += n
		}
		h := testHeader(int64(blocks)*512-100, 512)
		sig, want := signTables(t, h, rand.New(rand.NewPCG(uint64(seed), 0)), lengths...)
		got, tables, err := readTables(sig)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(h, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(want, tables); d != "" {
			t.Error(d)
		}
	}
}

// The hash is the well-known one.
func TestSum(t *testing.T) {
	d := xxhash.NewWithSeed(7)
	d.Write([]byte("lvmsync"))
	if Sum(7, []byte("lvmsync")) != d.Sum64() || Sum(0, nil) != 0xef46db3751d8e999 {
		t.Error("not xxh64")
	}
}

// A signature that is cut off anywhere is truncated; one with any bit flipped is
// refused.
func TestCutAndFlipped(t *testing.T) {
	sig, _ := signTables(t, testHeader(4096*30, 4096), rand.New(rand.NewPCG(1, 0)), 20, 10)
	for n := range sig {
		_, _, err := readTables(sig[:n])
		if want := format.ErrTruncated; n > 0 && !errors.Is(err, want) || n == 0 &&
			!errors.Is(err, ErrNotSignature) {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
		for bit := range 8 {
			flipped := bytes.Clone(sig)
			flipped[n] ^= 1 << bit
			_, _, err := readTables(flipped)
			if !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, ErrNotSignature) &&
				!errors.Is(err, format.ErrVersion) {
				t.Errorf("bit %d of byte %d flipped: %v", bit, n, err)
			}
		}
	}
	if _, _, err := readTables(append(bytes.Clone(sig), 0)); !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
}

// What is something else is called by its name.
func TestNotSignature(t *testing.T) {
	patch := patchtest.Write(t, patchtest.Header(format.Delta, 4096))
	newer, _ := signTables(t, testHeader(512, 512), rand.New(rand.NewPCG(1, 0)), 1)
	newer[16] = 2
	for name, test := range map[string]struct {
		input []byte
		want  error
		text  string
	}{
		"nothing": {nil, ErrNotSignature, "the input is empty"},
		"text": {[]byte("hello, world, this is text"), ErrNotSignature,
			`it begins with "hello`},
		"a patch":       {patch, ErrNotSignature, "it is a patch"},
		"newer version": {newer, format.ErrVersion, "version 2"},
	} {
		_, _, err := readTables(test.input)
		if !errors.Is(err, test.want) || !bytes.Contains([]byte(err.Error()), []byte(test.text)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("tape torn")
	if _, err := NewReader(io.MultiReader(bytes.NewReader(newer[:10]),
		errReader{broken})); !errors.Is(err, broken) || errors.Is(err, format.ErrCorrupt) {
		t.Errorf("an input that fails: %v", err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// A Writer refuses what a Reader would.
func TestWriterRefuses(t *testing.T) {
	for name, h := range map[string]Header{
		"no id":               {VolumeSize: 1, BlockSize: 512},
		"no volume":           testHeader(0, 512),
		"small blocks":        testHeader(512, 256),
		"large blocks":        testHeader(512, 2<<20),
		"no power of two":     testHeader(512, 1536),
		"negative block size": testHeader(512, -512),
	} {
		if _, err := NewWriter(io.Discard, h); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	w, err := NewWriter(io.Discard, testHeader(5120, 512))
	if err != nil {
		t.Fatal(err)
	}
	var table Table
	for _, test := range []struct {
		first int64
		n     int
	}{{1, 1}, {0, 0}, {0, 11}, {-1, 1}} {
		if table.Resize(test.first, test.n); w.Write(&table) == nil {
			t.Errorf("%d blocks from %d on: no error", test.n, test.first)
		}
	}
	if err := w.Close(); err == nil {
		t.Error("ended without blocks")
	}
}

// FuzzReader: whatever reads as a signature, written again, reads the same; nothing
// makes the reader panic or take more than its tables' memory.
func FuzzReader(f *testing.F) {
	for seed, n := range []int{1, 8, 30, 1000} {
		sig, _ := signTables(f, testHeader(int64(n)*4096, 4096),
			rand.New(rand.NewPCG(uint64(seed), 0)), n)
		f.Add(sig)
	}
	f.Fuzz(func(t *testing.T, sig []byte) {
		h, tables, err := readTables(sig)
		if err != nil {
			return
		}
		var out bytes.Buffer
		w, err := NewWriter(&out, h)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tables {
			if err := w.Write(&tables[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, again, err := readTables(out.Bytes()); err != nil || cmp.Diff(tables, again) != "" {
			t.Fatal("written again, it is another one", err)
		}
	})
}

// FuzzTable reads tables, whose checksums keep fuzzing from getting there.
func FuzzTable(f *testing.F) {
	var table Table
	for _, n := range []int{1, 9, 64} {
		table.Resize(5, n)
		f.Add(table.append(nil))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var table Table
		if err := table.parse(content); err == nil && !bytes.Equal(table.append(nil), content) {
			t.Errorf("%x becomes %x", content, table.append(nil))
		}
	})
}
