package devmapper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lvmsync/format/storage/kernel"
)

// ErrPoolFailed means that a thin volume's pool has failed: the kernel then says nothing of the volume, not even in its table.
var ErrPoolFailed = errors.New("the thin pool has failed")

// ThinTarget is the table line of a thin volume (kernel: dm-thin.c, thin_ctr).
type ThinTarget struct {
	Pool kernel.DevNum // the pool that it is in
	ID   uint32        // its id there
	// External is the device that unmapped blocks are read from, if HasExternal is set; else they are zeros.
	External    kernel.DevNum
	HasExternal bool
}

// ParseThinTarget reads a target of a table that is of type thin; [ErrPoolFailed] if there's nothing to read.
func ParseThinTarget(t Target) (ThinTarget, error) {
	s, err := parseThinArgs(t)
	if err != nil {
		return ThinTarget{}, fmt.Errorf("table line of a thin volume %q: %w", strings.Join(t.Args, " "), err)
	}
	return s, nil
}

func parseThinArgs(t Target) (s ThinTarget, err error) {
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

// PoolTarget is the table line of a thin pool (kernel: dm-thin.c, pool_ctr).
type PoolTarget struct {
	Metadata, Data kernel.DevNum
	BlockSectors   uint64 // size of the pool's blocks
	// Features are the optional ones, for example "skip_block_zeroing".
	Features []string
}

// ParsePoolTarget reads a target of a table that is of type thin-pool.
func ParsePoolTarget(t Target) (PoolTarget, error) {
	s, err := parsePoolArgs(t)
	if err != nil {
		return PoolTarget{}, fmt.Errorf("table line of a thin pool %q: %w", strings.Join(t.Args, " "), err)
	}
	return s, nil
}

func parsePoolArgs(t Target) (s PoolTarget, err error) {
	if t.Type != "thin-pool" || len(t.Args) < 4 {
		return s, fmt.Errorf("type %q with %d words", t.Type, len(t.Args))
	}
	if s.Metadata, err = kernel.Parse(t.Args[0]); err != nil {
		return s, err
	}
	if s.Data, err = kernel.Parse(t.Args[1]); err != nil {
		return s, err
	}
	if s.BlockSectors, err = strconv.ParseUint(t.Args[2], 10, 32); err != nil || s.BlockSectors == 0 {
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

// PoolStatus is the status line of a thin pool (kernel: dm-thin.c, pool_status).
type PoolStatus struct {
	// Failed is true if the pool can't be used at all. Nothing else is known of it then.
	Failed bool
	// DataBlocks is the number of the pool's blocks.
	DataBlocks uint64
	// Held is the metadata block of the metadata snapshot, 0 if none is reserved.
	Held uint64
	// Mode is "rw", "ro" or "out_of_data_space".
	Mode string
	// NeedsCheck is true if the kernel wants the metadata repaired.
	NeedsCheck bool
}

// StatusOfPool asks for the status of the thin pool with that number; [kernel.ErrNotDM] if device-mapper has none.
func StatusOfPool(ctx context.Context, num kernel.DevNum) (PoolStatus, error) {
	status, err := StatusOf(ctx, num)
	if err != nil {
		return PoolStatus{}, err
	}
	if len(status) != 1 {
		return PoolStatus{}, fmt.Errorf("status of device %s: %d lines, not one", num, len(status))
	}
	return ParsePoolStatus(status[0])
}

// ParsePoolStatus reads the status line of a target of type thin-pool.
func ParsePoolStatus(t Target) (PoolStatus, error) {
	text := strings.Join(t.Args, " ")
	if t.Type != "thin-pool" {
		return PoolStatus{}, fmt.Errorf("status line of a thin pool: its type is %q", t.Type)
	}
	if text == "Fail" || text == "Error" {
		return PoolStatus{Failed: true}, nil
	}
	bad := fmt.Errorf("status line of a thin pool: cannot make sense of %q", text)
	if len(t.Args) < 7 { // transaction, metadata, data, held root, mode, discards, out of space, needs check
		return PoolStatus{}, bad
	}
	s := PoolStatus{Mode: t.Args[4], NeedsCheck: slices.Contains(t.Args[5:], "needs_check")}
	_, total, _ := strings.Cut(t.Args[2], "/")
	n, err := strconv.ParseUint(total, 10, 64)
	if err != nil {
		return PoolStatus{}, bad
	}
	s.DataBlocks = n
	if held := t.Args[3]; held != "-" {
		n, err := strconv.ParseUint(held, 10, 64)
		if err != nil || n == 0 {
			return PoolStatus{}, bad
		}
		s.Held = n
	}
	if !slices.Contains([]string{"rw", "ro", "out_of_data_space"}, s.Mode) {
		return PoolStatus{}, bad
	}
	return s, nil
}

// Message sends a message to the device with that number. Once sent it is waited for, whatever becomes of ctx.
func Message(ctx context.Context, num kernel.DevNum, text string, trace Trace) error {
	return change(ctx, trace, "dmsetup", argsFor(num, []string{"message", "0", text})...)
}
