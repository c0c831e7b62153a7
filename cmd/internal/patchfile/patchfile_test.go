package patchfile

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// What a patch says of itself is one short line, with what is known and nothing else.
func TestDescribe(t *testing.T) {
	id := uuid.MustParse("0b54d3c2-5a8e-4f5e-9d3c-1f2e3d4c5b6a")
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	long := strings.Repeat("/dev/\x1b[2J", 10_000)
	cut := strings.Repeat("/dev/?[2J", 23)[:200] + "..."
	const size = "; volume of 64 KiB (65536 bytes)"
	for want, h := range map[string]format.Header{
		"delta patch " + id.String() + size: {Kind: format.Delta},
		"full patch " + id.String() + " of /dev/vg/lv on host, made 2026-01-02 03:04:05" +
			" by lvmsync-dump 1" + size: {Kind: format.Full, Created: made, Host: "host",
			Tool: "lvmsync-dump", ToolVersion: "1", Source: format.Source{Path: "/dev/vg/lv"}},
		"undo patch " + id.String() + " of vg/snap by x" + size: {Kind: format.Undo, Tool: "x",
			Source: format.Source{VG: "vg", LV: "lv", Snapshot: "snap", Path: "/dev/vg/lv"}},
		"delta patch " + id.String() + " of " + cut + " on " + cut + " by " + cut + " " + cut +
			size: {Kind: format.Delta, Host: long, Tool: long, ToolVersion: long,
			Source: format.Source{Path: long}},
	} {
		h.ID, h.VolumeSize = id, 65536
		if got := Describe(h); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}
