package devmapper

import (
	"context"
	"fmt"
	"strings"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// DeviceTable is a device and its table.
type DeviceTable struct {
	Device
	Table dmtable.Table
}

// TableOf asks for the table of the device with that number; [kernel.ErrNotDM] if device-mapper has
// none. The kernel is asked, for starting dmsetup takes longer than all else of a small dump, and
// dmsetup where that gives no answer: it says why.
func TableOf(ctx context.Context, num kernel.DevNum) (dmtable.Table, error) {
	if table, err := dmtable.Read(num); err == nil {
		return table, nil
	}
	return ask(ctx, "table", num)
}

// StatusOf asks for the status of the device with that number, as of a moment; [kernel.ErrNotDM] if
// device-mapper has none.
func StatusOf(ctx context.Context, num kernel.DevNum) (dmtable.Table, error) {
	return ask(ctx, "status", num)
}

func ask(ctx context.Context, what string, dev kernel.DevNum) (dmtable.Table, error) {
	out, err := runOn(ctx, dev, what)
	if err != nil {
		return nil, err
	}
	table, err := dmtable.Parse(out)
	if err != nil {
		return nil, fmt.Errorf("%s of device %s: %w", what, dev, err)
	}
	return table, nil
}

// Tables asks for all devices and their tables. A device that comes or goes at the same time may be
// missing.
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

// joinTables sorts the lines of "dmsetup table", each of which begins with a device's name and a
// colon, by device.
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
		table, err := dmtable.Parse(lines[i].String())
		if err != nil {
			return nil, fmt.Errorf("table of device %s: %w", d.Name, err)
		}
		tables[i] = DeviceTable{Device: d, Table: table}
	}
	return tables, nil
}

// splitName finds the device that a line is about. Its name may have a colon and a space in it: the
// longest name wins.
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
