package signature

import (
	"context"
	"errors"
	"fmt"
	"io"

	"lvmsync/dump"
	"lvmsync/dump/full"
	"lvmsync/format"
	"lvmsync/format/sigfile"
)

// Open opens the device or file at path, to compare it with the volume that a signature was made
// of. That is read as it is needed: only its header before Open returns. Whoever opened it closes
// it.
func Open(ctx context.Context, path string, signature io.Reader) (dump.Source, error) {
	r, err := sigfile.NewReader(signature)
	if err != nil {
		return dump.Source{}, err
	}
	now, err := full.Open(ctx, path)
	if err != nil {
		return dump.Source{}, err
	}
	src, h, sums := now.Source(), r.Header(), &sums{in: r}
	held, err := dump.StillHeld(ctx, h.Fingerprint, now, now.Size())
	if err != nil {
		return dump.Source{}, errors.Join(err, now.Close())
	}
	src.Header.Kind = format.Delta
	src.Header.Granularity = h.BlockSize
	src.Header.Base = &format.Base{Exact: true, HashSeed: h.Seed, Patch: h.Patch,
		Fingerprint: held}
	src.Header.RequiredFeatures = []string{format.BaseHashSeed}
	src.Sums = sums
	src.Extents = now.Extents(h.BlockSize)
	checkNow := src.Check
	src.Check = func(ctx context.Context) error { // and that all of the signature was right
		if err := sums.finish(); err != nil {
			return err
		}
		return checkNow(ctx)
	}
	return src, nil
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
