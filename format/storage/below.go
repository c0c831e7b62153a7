package storage

import (
	"os"
	"slices"
	"strings"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// A stretch is a part of a device, and where the bytes of it are.
type stretch struct {
	up   span
	to   ID
	down span
	how  placement
}

// A placement tells how the bytes of a stretch lie on what is below.
type placement int

const (
	straight  placement = iota // in the same order
	scattered                  // anywhere in it, and nobody else's are there
	// anywhere in it, among those of others, which the driver keeps apart
	allotted
	readOnly // they are another volume's, and only read
)

// partsOf lists what a device consists of; nothing for a disk, or a file: what a file system does
// with its device is its own affair.
func partsOf(id ID, table tableReader) ([]stretch, error) {
	if !id.Device {
		return nil, nil
	}
	if err := checkSysfs(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(id.Dir()); err != nil {
		return nil, err
	}
	size := max(0, id.Number("size")) << 9
	whole := span{0, size}
	if start := id.Number("start"); start >= 0 {
		if disk, ok := kernel.At(id.Dir() + "/.."); ok {
			return []stretch{{whole, DeviceID(disk), span{start << 9, start<<9 + size}, straight}},
				nil
		}
	}
	if id.Has("loop") {
		b, ok, err := new(overlays).loopBacking(id)
		if !ok || err != nil {
			return nil, err
		}
		return []stretch{{whole, b.id, span{b.off, b.off + size}, straight}}, nil
	}
	return stackedParts(id, whole, table)
}

// stackedParts lists what a device consists of that a driver made of others, such as device-mapper
// or md.
func stackedParts(id ID, whole span, table tableReader) ([]stretch, error) {
	below, err := id.Below()
	if err != nil {
		return nil, err
	}
	how := allotted
	if md := id.Attr("md/metadata_version"); md != "" && !isContainer(md) {
		how = scattered
	}
	var parts []stretch
	if id.IsMapped() {
		if targets, err := table(id.DevNum); err == nil {
			for _, t := range targets {
				parts = append(parts, partsOfTarget(t)...)
			}
		}
	}
	for _, num := range below {
		to := DeviceID(num)
		if !slices.ContainsFunc(parts, func(r stretch) bool { return r.to == to }) {
			parts = append(parts, stretch{whole, to, everything, how})
		}
	}
	return parts, nil
}

// isContainer tells whether several arrays may share the disks of one with this kind of md
// metadata.
func isContainer(metadata string) bool { return strings.HasPrefix(metadata, "external:") }

// A tableReader finds the table of a device of device-mapper.
type tableReader func(kernel.DevNum) (dmtable.Table, error)

// readTable asks the kernel. A variable, so that tests can show what this machine does not have.
var readTable tableReader = dmtable.Read

// partsOfTarget tells which parts of other devices a target consists of.
func partsOfTarget(t dmtable.Target) (parts []stretch) {
	at := int64(t.Start) << 9
	up := span{at, at + int64(t.LengthSectors)<<9}
	if legs, ok := t.Legs(); ok && t.Type != "thin" {
		for _, l := range legs {
			start := int64(l.Start) << 9
			p := stretch{up, DeviceID(l.Dev), span{start, start + int64(l.Length)<<9}, straight}
			if l.Mixed {
				p.how = scattered
			}
			parts = append(parts, p)
		}
	}
	for i, arg := range t.Args { // those of which no more is known, as the log of log-writes
		num, err := kernel.Parse(arg)
		isKnown := func(p stretch) bool { return p.to == DeviceID(num) }
		if err != nil || slices.ContainsFunc(parts, isKnown) {
			continue
		}
		how := scattered
		switch {
		case t.Type == "thin" && i == 0:
			how = allotted
		case t.Type == "thin", t.Type == "snapshot" && i == 0: // the origin is another volume
			how = readOnly
		}
		parts = append(parts, stretch{up, DeviceID(num), everything, how})
	}
	return parts
}
