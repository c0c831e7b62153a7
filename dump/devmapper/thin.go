package devmapper

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

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

// StatusOfPool asks for the status of the thin pool with that number; [kernel.ErrNotDM] if
// device-mapper has none.
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
func ParsePoolStatus(t dmtable.Target) (PoolStatus, error) {
	text := strings.Join(t.Args, " ")
	if t.Type != "thin-pool" {
		return PoolStatus{}, fmt.Errorf("status line of a thin pool: its type is %q", t.Type)
	}
	if text == "Fail" || text == "Error" {
		return PoolStatus{Failed: true}, nil
	}
	bad := fmt.Errorf("status line of a thin pool: cannot make sense of %q", text)
	// transaction, metadata, data, held root, mode, discards, out of space, needs check
	if len(t.Args) < 7 {
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

// Message sends a message to the device with that number. Once sent it is waited for, whatever
// becomes of ctx.
func Message(ctx context.Context, num kernel.DevNum, text string, trace Trace) error {
	return change(ctx, trace, "dmsetup", argsFor(num, []string{"message", "0", text})...)
}
