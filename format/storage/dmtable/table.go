// Package dmtable reads tables of device-mapper: what the sectors of a device are made of.
package dmtable

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lvmsync/format/storage/kernel"
)

// MaxSectors is the largest device size in sectors that the kernel can count in bytes.
const MaxSectors = (1<<63 - 1) / 512

// Target is one line of a device's table or status: what a run of its sectors is made of.
type Target struct {
	Start, LengthSectors uint64 // sectors of the device
	// Type is the kind of mapping, for example "linear" or "snapshot".
	Type string
	// Args are the words after the type: parameters in a table, the state in a status.
	Args []string
}

// Table is all targets of a device, in order; they follow each other with no gap. It is empty for a
// device without a live table.
type Table []Target

// Parse reads the lines that "dmsetup table" or "dmsetup status" prints for a single device.
// Nonsense, such as a gap, is an error.
func Parse(text string) (Table, error) {
	var table Table
	var end uint64
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		t, err := parseTarget(words)
		if err != nil {
			return nil, fmt.Errorf("%w in %q", err, strings.TrimSpace(line))
		}
		if t.Start != end {
			return nil, fmt.Errorf("line %q does not begin where the one before ends, at sector %d",
				strings.TrimSpace(line), end)
		}
		end += t.LengthSectors
		table = append(table, t)
	}
	return table, nil
}

func parseTarget(words []string) (Target, error) {
	if len(words) < 3 {
		return Target{}, fmt.Errorf("no start, length and type")
	}
	start, err1 := strconv.ParseUint(words[0], 10, 64)
	length, err2 := strconv.ParseUint(words[1], 10, 64)
	if err1 != nil || err2 != nil || length == 0 || start > MaxSectors ||
		length > MaxSectors-start {
		return Target{}, fmt.Errorf("bad start or length")
	}
	return Target{Start: start, LengthSectors: length, Type: words[2],
		Args: slices.Clone(words[3:])}, nil
}

// PassesTo is the device that a target hands everything on to as it is, from sector to same sector:
// what the origin of a thick snapshot lies on, or a device that is its other name.
func (t Target) PassesTo() (kernel.DevNum, bool) {
	args := strings.Join(t.Args, " ")
	switch {
	case t.Start != 0:
		return kernel.DevNum{}, false
	case t.Type == "linear":
		rest, ok := strings.CutSuffix(args, " 0")
		if !ok {
			return kernel.DevNum{}, false
		}
		args = rest
	case t.Type != "snapshot-origin":
		return kernel.DevNum{}, false
	}
	num, err := kernel.Parse(args)
	return num, err == nil
}
