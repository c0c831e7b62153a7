package signature

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"lvmsync/dump"
	"lvmsync/dump/full"
	"lvmsync/format"
	"lvmsync/format/sigfile"
)

// A Source is what differs between a device or file and the volume that a signature
// was made of. It implements [dump.Summed].
type Source struct {
	*full.Source
	sums *sums
	base format.Base
	size int64 // of the volume with the signature, in bytes
}

var _ dump.Summed = (*Source)(nil)

// Open opens the device or file at path, to compare it with a signature, which is
// read as it is needed: only its header before Open returns.
func Open(ctx context.Context, path string, signature io.Reader) (*Source, error) {
	r, err := sigfile.NewReader(signature)
	if err != nil {
		return nil, err
	}
	f, err := full.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	h := r.Header()
	s := &Source{Source: f, sums: &sums{in: r}, size: h.VolumeSize,
		base: format.Base{Exact: true, HashSeed: h.Seed}}
	if s.base.Fingerprint, err = dump.StillHeld(ctx, h.Fingerprint, f, f.Size()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// BaseSize is the size in bytes of the volume that the signature was made of.
func (s *Source) BaseSize() int64 { return s.size }

// Header implements [dump.Source].
func (s *Source) Header() format.Header {
	h := s.Source.Header()
	h.Kind = format.Delta
	h.Granularity = s.sums.BlockSize()
	h.Base = &s.base
	h.RequiredFeatures = append(h.RequiredFeatures, format.BaseHashSeed)
	return h
}

// Sums implements [dump.Summed].
func (s *Source) Sums() dump.Sums { return s.sums }

// Extents implements [dump.Source]: the whole volume, holes as zero extents as far as
// they are whole blocks.
func (s *Source) Extents() iter.Seq2[format.Extent, error] {
	return s.Source.ExtentsIn(s.sums.BlockSize())
}

// Check implements [dump.Source]. It also makes sure that all of the signature was
// right.
func (s *Source) Check(ctx context.Context) error {
	if err := s.sums.finish(); err != nil {
		return err
	}
	return s.Source.Check(ctx)
}

// sums are the signature's. It implements [dump.Sums].
type sums struct {
	in    *sigfile.Reader
	table *sigfile.Table
}

func (s *sums) BlockSize() int64 { return s.in.Header().BlockSize }
func (s *sums) Size() int64      { return s.in.Header().VolumeSize }
func (s *sums) Seed() uint64     { return uint64(s.in.Header().Seed) }

func (s *sums) Sum(off int64) (dump.BlockSum, error) {
	block := off / s.BlockSize()
	for s.table == nil || block >= s.table.First+int64(s.table.Len()) {
		t, err := s.in.Next()
		if err == io.EOF {
			err = fmt.Errorf("the signature has no block %d", block)
		}
		if err != nil {
			return dump.BlockSum{}, err
		}
		s.table = t
	}
	i := block - s.table.First
	if i < 0 {
		return dump.BlockSum{}, fmt.Errorf("block %d of the signature has been passed", block)
	}
	return dump.BlockSum{Hash: s.table.Sums[i], Zero: s.table.Zero[i]}, nil
}

// finish reads the signature to its end.
func (s *sums) finish() error {
	for {
		if _, err := s.in.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
