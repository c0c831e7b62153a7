package dmtable

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lvmsync/format/storage/kernel"
)

// ErrPoolFailed means that a thin volume's pool has failed: the kernel then says nothing of the
// volume, not even in its table.
var ErrPoolFailed = errors.New("the thin pool has failed")

// Thin is the table line of a thin volume (kernel: dm-thin.c, thin_ctr).
type Thin struct {
	Pool kernel.DevNum // the pool that it is in
	ID   uint32        // its id there
	// External is the device that unmapped blocks are read from, if HasExternal is set; else they
	// are zeros.
	External    kernel.DevNum
	HasExternal bool
}

// ParseThin reads a target of a table that is of type thin; [ErrPoolFailed] if there's nothing to
// read.
func ParseThin(t Target) (Thin, error) {
	s, err := parseThinArgs(t)
	if err != nil {
		return Thin{}, fmt.Errorf("table line of a thin volume %q: %w", strings.Join(t.Args, " "),
			err)
	}
	return s, nil
}

func parseThinArgs(t Target) (s Thin, err error) {
	if t.Type == "thin" && slices.Equal(t.Args, []string{"Fail"}) {
		return s, ErrPoolFailed
	}
	if t.Type != "thin" || t.Start != 0 || len(t.Args) != 2 && len(t.Args) != 3 {
		return s, fmt.Errorf("type %q at sector %d with %d words", t.Type, t.Start, len(t.Args))
	}
	if s.Pool, err = kernel.Parse(t.Args[0]); err != nil {
		return s, err
	}
	id, err := strconv.ParseUint(t.Args[1], 10, 24)
	if err != nil {
		return s, fmt.Errorf("%q is not the id of a thin volume", t.Args[1])
	}
	s.ID = uint32(id)
	if len(t.Args) == 3 {
		s.External, err = kernel.Parse(t.Args[2])
		s.HasExternal = true
	}
	return s, err
}

// Pool is the table line of a thin pool (kernel: dm-thin.c, pool_ctr).
type Pool struct {
	Metadata, Data kernel.DevNum
	BlockSectors   uint64 // size of the pool's blocks
	// Features are the optional ones, for example "skip_block_zeroing".
	Features []string
}

// ParsePool reads a target of a table that is of type thin-pool.
func ParsePool(t Target) (Pool, error) {
	s, err := parsePoolArgs(t)
	if err != nil {
		return Pool{}, fmt.Errorf("table line of a thin pool %q: %w", strings.Join(t.Args, " "),
			err)
	}
	return s, nil
}

func parsePoolArgs(t Target) (s Pool, err error) {
	if t.Type != "thin-pool" || len(t.Args) < 4 {
		return s, fmt.Errorf("type %q with %d words", t.Type, len(t.Args))
	}
	if s.Metadata, err = kernel.Parse(t.Args[0]); err != nil {
		return s, err
	}
	if s.Data, err = kernel.Parse(t.Args[1]); err != nil {
		return s, err
	}
	if s.BlockSectors, err = strconv.ParseUint(t.Args[2], 10, 32); err != nil ||
		s.BlockSectors == 0 {
		return s, fmt.Errorf("%q is not a size of blocks", t.Args[2])
	}
	if rest := t.Args[4:]; len(rest) > 0 {
		n, err := strconv.ParseUint(rest[0], 10, 32)
		if err != nil || n != uint64(len(rest)-1) {
			return s, fmt.Errorf("%q is not the number of features", rest[0])
		}
		s.Features = slices.Clone(rest[1:])
	}
	return s, nil
}
