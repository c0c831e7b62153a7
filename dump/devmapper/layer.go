package devmapper

import (
	"strings"

	"lvmsync/format/storage/kernel"
)

// PassesTo is the device that a target hands everything on to as it is, from sector to same sector: what the origin of a
// thick snapshot lies on, or a device that is its other name.
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
