package devmapper

import "strings"

// PassesTo is the device that a target hands everything on to as it is, from sector to same sector: what the origin of a
// thick snapshot lies on, or a device that is its other name.
func (t Target) PassesTo() (DevNum, bool) {
	args := strings.Join(t.Args, " ")
	switch {
	case t.Start != 0:
		return DevNum{}, false
	case t.Type == "linear":
		rest, ok := strings.CutSuffix(args, " 0")
		if !ok {
			return DevNum{}, false
		}
		args = rest
	case t.Type != "snapshot-origin":
		return DevNum{}, false
	}
	num, err := parseDevNum(args)
	return num, err == nil
}
