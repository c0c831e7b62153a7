package store

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	atMagic = 4 * iota
	atValid
	atVersion
	atChunkSize
)

// setHeader overwrites one field of a device's header.
func (d *device) setHeader(at int, value uint32) {
	binary.LittleEndian.PutUint32(d.sector(0)[at:], value)
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(d *device)
		want   error // nil: none of the sentinels
		text   string
	}{
		{"magic 0", func(d *device) { d.setHeader(atMagic, 0) }, ErrUninitialised, "never active"},
		{"magic of something else", func(d *device) { d.setHeader(atMagic, 0x70416e54) },
			ErrNotStore, "0x70416e54"},
		{"wrong magic before all else",
			func(d *device) { d.setHeader(atMagic, 1); d.setHeader(atValid, 0) }, ErrNotStore, ""},
		{"empty device", func(d *device) { d.size = 0 }, ErrNotStore, "0 bytes"},
		{"negative size", func(d *device) { d.size = -1 }, ErrNotStore, ""},
		{"device smaller than a header", func(d *device) { d.size = headerBytes - 1 },
			ErrNotStore, "15 bytes"},
		{"version 0", func(d *device) { d.setHeader(atVersion, 0) }, nil, "version 0"},
		{"version 2", func(d *device) { d.setHeader(atVersion, 2) }, nil, "version 2"},
		{"not valid", func(d *device) { d.setHeader(atValid, 0) }, ErrInvalid, "incomplete"},
		{"valid 2", func(d *device) { d.setHeader(atValid, 2) }, ErrCorrupt, "valid is 2"},
		{"chunk size 0", func(d *device) { d.setHeader(atChunkSize, 0) },
			ErrCorrupt, "power of two"},
		{"chunk size no power of two", func(d *device) { d.setHeader(atChunkSize, 3) },
			ErrCorrupt, "power of two"},
		{"chunk size 2 GiB", func(d *device) {
			d.setHeader(atChunkSize, 1<<22)
			d.size = math.MaxInt64
		}, ErrCorrupt, "limit"},
		{"chunk size 2^31 sectors", func(d *device) { d.setHeader(atChunkSize, 1<<31) },
			ErrCorrupt, "limit"},
		{"chunk larger than the device", func(d *device) { d.setHeader(atChunkSize, 1<<21) },
			ErrCorrupt, "no room"},
		{"no room for area 0", func(d *device) { d.size = 2*d.chunkBytes - 1 },
			ErrCorrupt, "no room"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(1<<20, 4096)
			tt.change(d)
			s, err := Open(d, d.size)
			if err == nil || s != nil {
				t.Fatalf("Open = %v, %v, want an error only", s, err)
			}
			for _, sentinel := range []error{ErrNotStore, ErrUninitialised,
				ErrInvalid, ErrCorrupt} {
				if errors.Is(err, sentinel) != (sentinel == tt.want) {
					t.Errorf("%v: is %q: %t", err, sentinel, errors.Is(err, sentinel))
				}
			}
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%q doesn't say %q", err, tt.text)
			}
			if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
				if corrupt.Area != -1 || corrupt.Entry != -1 || corrupt.Offset != 0 {
					t.Errorf("%#v doesn't point at the header", corrupt)
				}
			}
		})
	}
}

func TestOpenChunkSizes(t *testing.T) {
	for chunk := int64(512); chunk <= 1<<30; chunk *= 2 {
		d := newDevice(2*chunk, chunk)
		s := mustOpen(t, d, d.size)
		if s.ChunkSize() != chunk {
			t.Errorf("chunk size %d, want %d", s.ChunkSize(), chunk)
		}
	}
}

func TestOpenReadError(t *testing.T) {
	broken := errors.New("broken disk")
	_, err := Open(readerAt(func([]byte, int64) (int, error) { return 0, broken }), 1<<20)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "header at byte 0") {
		t.Errorf("Open: %v", err)
	}
	d := newDevice(8, 4096) // ends within the header, whatever the caller says
	if _, err := Open(d, 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Open: %v, want unexpected EOF", err)
	}
}

func TestCheckValid(t *testing.T) {
	tests := []struct {
		name      string
		at        int
		value     uint32
		want, not error
	}{
		{"overflowed since", atValid, 0, ErrInvalid, ErrCorrupt},
		{"valid 5", atValid, 5, ErrCorrupt, ErrInvalid},
		{"wiped", atMagic, 0, ErrCorrupt, ErrUninitialised},
		{"another version", atVersion, 2, ErrCorrupt, ErrInvalid},
		{"another chunk size", atChunkSize, 16, ErrCorrupt, ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(1<<20, 4096)
			s := mustOpen(t, d, d.size)
			if err := s.CheckValid(); err != nil {
				t.Fatalf("unchanged header: %v", err)
			}
			d.setHeader(tt.at, tt.value)
			if err := s.CheckValid(); !errors.Is(err, tt.want) || errors.Is(err, tt.not) {
				t.Errorf("CheckValid: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestCheckValidReadError(t *testing.T) {
	d := newDevice(1<<20, 4096)
	s := mustOpen(t, d, d.size)
	s.r = readerAt(func([]byte, int64) (int, error) { return 0, iotest.ErrTimeout })
	if err := s.CheckValid(); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("CheckValid: %v, want the read's error", err)
	}
}

// readerAt makes an io.ReaderAt of a function.
type readerAt func(p []byte, off int64) (int, error)

func (f readerAt) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
