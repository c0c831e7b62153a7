package devmapper

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lvmsync/format/storage/kernel"
)

// maxSectors is the largest device size in sectors that the kernel can count in bytes.
const maxSectors = (1<<63 - 1) / 512

// Target is one line of a device's table or status: what a run of its sectors is made of.
type Target struct {
	Start, LengthSectors uint64 // sectors of the device
	// Type is the kind of mapping, for example "linear" or "snapshot".
	Type string
	// Args are the words after the type: parameters in a table, the state in a status.
	Args []string
}

// Table is all targets of a device, in order; they follow each other with no gap. It is empty for a device without a
// live table.
type Table []Target

// DeviceTable is a device and its table.
type DeviceTable struct {
	Device
	Table Table
}

// TableOf asks for the table of the device with that number; [kernel.ErrNotDM] if device-mapper has none.
func TableOf(ctx context.Context, num kernel.DevNum) (Table, error) {
	return ask(ctx, "table", num)
}

// StatusOf asks for the status of the device with that number, as of a moment; [kernel.ErrNotDM] if device-mapper has none.
func StatusOf(ctx context.Context, num kernel.DevNum) (Table, error) {
	return ask(ctx, "status", num)
}

func ask(ctx context.Context, what string, dev kernel.DevNum) (Table, error) {
	out, err := runOn(ctx, dev, what)
	if err != nil {
		return nil, err
	}
	table, err := ParseTable(out)
	if err != nil {
		return nil, fmt.Errorf("%s of device %s: %w", what, dev, err)
	}
	return table, nil
}

// Tables asks for all devices and their tables. A device that comes or goes at the same time may be missing.
func Tables(ctx context.Context) ([]DeviceTable, error) {
	out, err := run(ctx, "dmsetup", "table")
	if err != nil {
		return nil, err
	}
	devices, err := allDevices(ctx)
	if err != nil {
		return nil, err
	}
	return joinTables(out, devices)
}

// joinTables sorts the lines of "dmsetup table", each of which begins with a device's name and a colon, by device.
func joinTables(out string, devices []Device) ([]DeviceTable, error) {
	lines := make([]strings.Builder, len(devices))
	byName := make(map[string]int, len(devices))
	for i, d := range devices {
		byName[d.Name] = i
	}
	for line := range strings.Lines(out) {
		if i, rest, ok := splitName(line, byName); ok {
			lines[i].WriteString(rest)
		}
	}
	tables := make([]DeviceTable, len(devices))
	for i, d := range devices {
		table, err := ParseTable(lines[i].String())
		if err != nil {
			return nil, fmt.Errorf("table of device %s: %w", d.Name, err)
		}
		tables[i] = DeviceTable{Device: d, Table: table}
	}
	return tables, nil
}

// splitName finds the device that a line is about. Its name may have a colon and a space in it: the longest name wins.
func splitName(line string, byName map[string]int) (device int, rest string, ok bool) {
	for end := len(line); ; {
		end = strings.LastIndex(line[:end], ": ")
		if end < 0 {
			return 0, "", false
		}
		if i, known := byName[line[:end]]; known {
			return i, line[end+2:], true
		}
	}
}

// ParseTable reads the lines that "dmsetup table" or "dmsetup status" prints for a single device. Nonsense, such as a
// gap, is an error.
func ParseTable(text string) (Table, error) {
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
			return nil, fmt.Errorf("line %q does not begin where the one before ends, at sector %d", strings.TrimSpace(line), end)
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
	if err1 != nil || err2 != nil || length == 0 || start > maxSectors || length > maxSectors-start {
		return Target{}, fmt.Errorf("bad start or length")
	}
	return Target{Start: start, LengthSectors: length, Type: words[2], Args: slices.Clone(words[3:])}, nil
}
