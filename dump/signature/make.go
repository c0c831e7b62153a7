// Package signature compares a volume with a signature: the hashes of the blocks
// that another volume holds, made where that one is. It makes signatures, and is the
// source of patches of what differs.
package signature

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/stored"
	"lvmsync/format"
	"lvmsync/format/refine"
	"lvmsync/format/sigfile"
	"lvmsync/format/storage"
)

const (
	// readers is how many reads are in flight.
	readers = 8
	// readSize is how much is read at a time, in bytes, if blocks are no larger: little
	// enough to stay in a processor's cache until it's hashed.
	readSize = 256 << 10
	// announced is how much is announced at a time, in bytes.
	announced = 8 << 20
	// tableBytes is how much of the volume a table is about, if its blocks are not
	// too many.
	tableBytes = 256 << 20
)

// Options tune [Make].
type Options struct {
	BlockSize   int64  // what each hash is of, in bytes (see sigfile.IsBlockSize)
	Tool        string // name of the program, for the header
	ToolVersion string // its version
	// BeforeTrailer, if set, is called when all but the trailer has been written: an error of
	// it ends the signature without one.
	BeforeTrailer func() error
	// Progress, if set, is called with the number of bytes that have been read.
	Progress func(done int64)
}

// A Report says what was made.
type Report struct {
	Header sigfile.Header
	Bytes  int64 // size of the signature
}

// A Subject is what a signature is made of.
type Subject struct {
	dump.Copy
	Name   string // for messages
	Source format.Source
	Patch  uuid.UUID // that leads to it, of an archive
}

// Device is a device or file.
func Device(f *blockdev.File) Subject {
	return Subject{Copy: dump.CopyOf(f), Name: f.Name(),
		Source: storage.Describe(f.Name(), f.ID())}
}

// Stored is a state of an archive. What that has lost can't be hashed, and ends the signature.
func Stored(s *stored.State) Subject {
	path := s.Path()
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return Subject{Copy: s, Name: s.Path(), Source: format.Source{Type: "file", Path: path},
		Patch: s.Patch()}
}

// Make writes the signature of f to w. Unless it returns nil, what was written has
// no trailer, and every reader says so.
func Make(ctx context.Context, f Subject, w io.Writer, o Options) (Report, error) {
	if f.Size() == 0 {
		return Report{}, fmt.Errorf("%s has 0 bytes", f.Name)
	}
	h, err := describe(ctx, f, o)
	if err != nil {
		return Report{}, err
	}
	sw, err := sigfile.NewWriter(w, h)
	if err != nil {
		return Report{}, err
	}
	m := &maker{Copy: f, header: h, zeros: f.Zeros(), piece: max(readSize, h.BlockSize)}
	defer m.zeros.Close()
	m.buffers.New = func() any {
		b := blockdev.AlignedBuffer(int(m.piece))
		return &b
	}
	perTable := min(tableBytes/h.BlockSize, sigfile.MaxTableBlocks)
	var t sigfile.Table
	for first := int64(0); first < h.Blocks(); first += perTable {
		t.Resize(first, int(min(perTable, h.Blocks()-first)))
		if err := m.fill(ctx, &t); err != nil {
			return Report{}, err
		}
		if err := sw.Write(&t); err != nil {
			return Report{}, err
		}
		if o.Progress != nil {
			o.Progress(min((first+perTable)*h.BlockSize, h.VolumeSize))
		}
	}
	if err := f.Check(); err != nil {
		return Report{}, err
	}
	if o.BeforeTrailer != nil {
		if err := o.BeforeTrailer(); err != nil {
			return Report{}, err
		}
	}
	if err := sw.Close(); err != nil {
		return Report{}, err
	}
	return Report{Header: h, Bytes: sw.Bytes()}, nil
}

func describe(ctx context.Context, f Subject, o Options) (h sigfile.Header, err error) {
	h = sigfile.Header{
		ID:          uuid.New(),
		Created:     time.Now().UTC().Truncate(time.Millisecond),
		Tool:        o.Tool,
		ToolVersion: o.ToolVersion,
		Source:      f.Source,
		Patch:       f.Patch,
		VolumeSize:  f.Size(),
		BlockSize:   o.BlockSize,
	}
	h.Host, _ = os.Hostname() // only told to people: unknown is fine
	var seed [8]byte
	for h.Seed == 0 { // that would be no seed
		if _, err := rand.Read(seed[:]); err != nil {
			return h, fmt.Errorf("choose a seed: %w", err)
		}
		h.Seed = format.Hash(binary.LittleEndian.Uint64(seed[:]))
	}
	h.Fingerprint, err = dump.Fingerprint(ctx, f, f.Size())
	return h, err
}

// A maker hashes the blocks of a volume.
type maker struct {
	dump.Copy
	header  sigfile.Header
	zeros   dump.Zeros
	piece   int64     // read at a time, in bytes
	buffers sync.Pool // of that size; the one used last comes first
}

// fill fills a table. What is known to be zeros is not read.
func (m *maker) fill(ctx context.Context, t *sigfile.Table) error {
	start := t.First * m.header.BlockSize
	end := min(start+int64(t.Len())*m.header.BlockSize, m.header.VolumeSize)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for off := start; off < end; off += m.piece {
		if err := ctx.Err(); err != nil { // holes may be long
			return errors.Join(g.Wait(), err)
		}
		if off%announced == 0 {
			m.WillNeed(off, 2*announced)
		}
		n := min(m.piece, end-off)
		zero, err := m.zeros.Cover(off, n)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		if !zero {
			g.Go(func() error { return m.hash(ctx, t, off, n) })
			continue
		}
		for at := off; at < off+n; at += m.header.BlockSize {
			t.Set(int(at/m.header.BlockSize-t.First), 0, nil, true)
		}
	}
	return g.Wait()
}

// hash notes what the blocks of [off, off+n) hold.
func (m *maker) hash(ctx context.Context, t *sigfile.Table, off, n int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	pooled := m.buffers.Get().(*[]byte)
	defer m.buffers.Put(pooled)
	buf := *pooled
	if _, err := m.ReadAt(buf[:n], off); err != nil && err != io.EOF {
		return err
	}
	size := m.header.BlockSize
	for at := int64(0); at < n; at += size {
		block := buf[at:min(at+size, n)]
		t.Set(int((off+at)/size-t.First), uint64(m.header.Seed), block, refine.IsZero(block))
	}
	return nil
}
