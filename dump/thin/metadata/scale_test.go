package metadata

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// A countingReader counts the blocks that are read.
type countingReader struct {
	io.ReaderAt
	blocks atomic.Int64
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	r.blocks.Add(1)
	return r.ReaderAt.ReadAt(p, off)
}

// BenchmarkDiff compares two volumes of ten million blocks, 0.1% of which are mapped differently,
// in runs of 1000. It prints the part of the metadata's used blocks that are read, the memory that
// is taken, and how many times as long thin_delta takes.
func BenchmarkDiff(b *testing.B) {
	for _, tool := range []string{"thin_restore", "thin_delta"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("%v: %s is what is compared with, of thin-provisioning-tools", err, tool)
		}
	}
	const mappings, run, runs = 10_000_000, 1000, 10
	path, used := bigPool(b, mappings)
	remap(b, path, mappings/runs, run)
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	var ours, theirs time.Duration
	var read int64
	var memory uint64
	for b.Loop() {
		start := time.Now()
		if out, err := exec.Command("thin_delta", "--thin1", "1", "--thin2", "2",
			path).Output(); err != nil || bytes.Count(out, []byte("<different")) < runs {
			b.Fatalf("thin_delta: %v", err)
		}
		theirs += time.Since(start)

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start = time.Now()
		counting := &countingReader{ReaderAt: f}
		m, err := Open(counting, st.Size())
		if err != nil {
			b.Fatal(err)
		}
		d, err := m.Diff(b.Context(), 1, 2)
		ours += time.Since(start)
		runtime.ReadMemStats(&after)
		if err != nil || d.Mapped.GetCardinality() != run*runs || !d.Unmapped.IsEmpty() {
			b.Fatalf("%d blocks differ, want %d (%v)", d.Mapped.GetCardinality(), run*runs, err)
		}
		read, memory = counting.blocks.Load(), after.TotalAlloc-before.TotalAlloc
	}
	b.ReportMetric(100*float64(read)/float64(used), "%read")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "thin_delta/diff")
	b.ReportMetric(float64(memory)/(1<<20), "MiB-allocated")
}

// bigPool makes metadata with one volume of so many mapped blocks, and tells how many blocks of
// them are used.
func bigPool(b *testing.B, mappings int) (path string, used int) {
	b.Helper()
	dir := b.TempDir()
	path = filepath.Join(dir, "metadata")
	text := fmt.Sprintf(`<superblock uuid="" time="0" transaction="1" data_block_size="128" `+
		`nr_data_blocks="%d">
<device dev_id="1" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="0">
<range_mapping origin_begin="0" data_begin="0" length="%d" time="0"/>
</device></superblock>`, 2*mappings, mappings, mappings)
	input := filepath.Join(dir, "xml")
	if err := os.WriteFile(input, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := exec.Command("truncate", "-s", "1G", path).Run(); err != nil {
		b.Fatal(err)
	}
	if out, err := exec.Command("thin_restore", "-i", input, "-o",
		path).CombinedOutput(); err != nil {
		b.Fatalf("thin_restore: %v\n%s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	m, err := Open(f, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	counting := &countingReader{ReaderAt: f}
	m.r = counting
	if _, err := m.Mapped(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	return path, int(counting.blocks.Load())
}

// A shadow copies nodes of a pool's metadata to its end, as the kernel does when a volume that
// shares them is written.
type shadow struct {
	b    *testing.B
	f    *os.File
	next uint64 // free block
}

// remap adds volume 2, a snapshot of volume 1 in which the first n blocks of every so many are
// mapped elsewhere.
func remap(b *testing.B, path string, every, n uint64) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	m, err := Open(f, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	root, err := m.root(b.Context(), 1)
	if err != nil {
		b.Fatal(err)
	}
	s := &shadow{b: b, f: f, next: 1<<30/BlockSize - 1}
	second := s.copy(root, 0, keyLimit, every, n)
	// The tree of volumes is one leaf: the second follows the first.
	top := s.read(m.super.mappingRoot)
	le.PutUint32(top[16:], 2)
	le.PutUint64(top[nodeHeader+keySize:], 2)
	le.PutUint64(top[nodeHeader+int(le.Uint32(top[20:]))*keySize+blockValue.size:], second)
	s.write(m.super.mappingRoot, top)
}

func (s *shadow) read(block uint64) []byte {
	buf := make([]byte, BlockSize)
	if _, err := s.f.ReadAt(buf, int64(block)*BlockSize); err != nil {
		s.b.Fatal(err)
	}
	return buf
}

func (s *shadow) write(block uint64, buf []byte) {
	le.PutUint64(buf[8:], block)
	le.PutUint32(buf, checksum(buf, nodeSalt))
	if _, err := s.f.WriteAt(buf, int64(block)*BlockSize); err != nil {
		s.b.Fatal(err)
	}
}

// copy copies the nodes of a subtree that hold blocks to be mapped elsewhere, and returns the new
// root; or the old one if there are none.
func (s *shadow) copy(block, low, high, every, n uint64) uint64 {
	if low%every >= n && (low/every+1)*every >= high {
		return block
	}
	buf := s.read(block)
	node, err := parseNode(buf, blockValue)
	if err != nil {
		s.b.Fatal(err)
	}
	changed := false
	values := nodeHeader + int(le.Uint32(buf[20:]))*keySize
	for i, key := range node.keys {
		value := node.values[i]
		if !node.leaf {
			child := node.child(i, high)
			value = s.copy(child.block, child.low, child.high, every, n)
		} else if key%every < n {
			value = (value>>timeBits + 10_000_000) << timeBits
		}
		if value != node.values[i] {
			changed = true
			le.PutUint64(buf[values+i*blockValue.size:], value)
		}
	}
	if !changed {
		return block
	}
	at := s.next
	s.next--
	s.write(at, buf)
	return at
}
