package dmtable

import (
	"slices"
	"strconv"

	"lvmsync/format/storage/kernel"
)

// A Leg is a part of another device on which a target lies.
type Leg struct {
	Dev           kernel.DevNum
	Start, Length uint64 // sectors
	// Mixed is true if the target's sectors lie in it in another order, with other things between
	// them, or not all.
	Mixed bool
}

// Legs tells where a target lies. It reports false for a type whose table doesn't tell that, or of
// which this program doesn't know: then the target may lie anywhere in the devices beneath.
func (t Target) Legs() ([]Leg, bool) {
	switch t.Type {
	case "linear", "flakey", "dust", "log-writes", "snapshot-origin":
		return t.legsAt(0)
	case "delay": // for reading, writing and flushing
		return t.legsAt(0, 3, 6)
	case "crypt":
		return t.legsAt(3)
	case "striped":
		return t.stripes()
	case "error", "zero", "thin": // nowhere; or, for a thin volume, in blocks of its own
		return nil, true
	}
	return nil, false
}

// withOffset are the types whose tables have a start behind each device.
var withOffset = []string{"linear", "flakey", "dust", "delay", "crypt"}

// legsAt reads the legs whose devices are the arguments with these numbers, as far as there are so
// many.
func (t Target) legsAt(places ...int) (legs []Leg, ok bool) {
	for _, i := range places {
		if i > 0 && i >= len(t.Args) && len(legs) > 0 {
			break
		}
		leg, ok := t.legAt(i, t.LengthSectors, slices.Contains(withOffset, t.Type))
		if !ok {
			return nil, false
		}
		legs = append(legs, leg)
	}
	return legs, true
}

func (t Target) legAt(i int, length uint64, offset bool) (leg Leg, ok bool) {
	if i+1 > len(t.Args) || offset && i+2 > len(t.Args) {
		return leg, false
	}
	var err error
	if leg.Dev, err = kernel.Parse(t.Args[i]); err != nil {
		return leg, false
	}
	leg.Start = t.Start // it hands on the device's own sector numbers
	if offset {
		leg.Start, err = strconv.ParseUint(t.Args[i+1], 10, 64)
	}
	leg.Length = length
	return leg, err == nil && leg.Start <= MaxSectors
}

// stripes reads the legs of a striped target.
func (t Target) stripes() (legs []Leg, ok bool) {
	if len(t.Args) < 2 {
		return nil, false
	}
	n, err := strconv.ParseUint(t.Args[0], 10, 16)
	if err != nil || n == 0 || len(t.Args) != int(2+2*n) {
		return nil, false
	}
	for i := range int(n) {
		leg, ok := t.legAt(2+2*i, t.LengthSectors/n, true)
		if !ok {
			return nil, false
		}
		leg.Mixed = true
		legs = append(legs, leg)
	}
	return legs, true
}
