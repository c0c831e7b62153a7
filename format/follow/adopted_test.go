package follow

import (
	"testing"

	"lvmsync/format"
)

// A snapshot of a snapshot becomes one of the volume when that is merged: it was none of it before,
// and is older.
func TestAdoptedSnapshot(t *testing.T) {
	boot := func(hours int64) tweak { return upFor(hours, "boot") }
	for name, tt := range map[string]struct {
		a, b          format.Header
		reason, doubt string
		unknown       bool
	}{
		"since it": {
			ordered(1, 9, kind(format.Full), thin, knowing("S"), boot(3)),
			ordered(2, 12, thin, since("T", 7), knowing("T"), boot(6)),
			"snapshot T was none of the volume when the older one of them was dumped",
			"", true},
		"of a dump of two boots": {
			ordered(1, 9, kind(format.Full), thin, knowing("S")),
			ordered(2, 12, thin, since("T", 7), knowing("T")),
			"snapshot T was none of the volume when the older one of them was dumped",
			"", true},
		"to it": {
			ordered(1, 9, thin, since("R", 5), knowing("R", "S"), boot(3)),
			ordered(2, 12, thin, since("R", 5), upTo("T", 7), knowing("R", "T"), boot(6)),
			"snapshot T was none of the volume when the older one of them was dumped",
			"", true},
		"made after the dump": {
			ordered(1, 9, kind(format.Full), thin, knowing("S"), boot(3)),
			ordered(2, 12, thin, since("T", 10), knowing("T"), boot(6)), "",
			"if the volume was in use between", false},
		"made nobody knows when": {
			ordered(1, 9, kind(format.Full), thin, knowing("S"), boot(3)),
			ordered(2, 12, thin, since("T", 0), knowing("T"), boot(6)), "",
			"whether a patch between them is missing can't be told", false},
		"made in the second of the dump": {
			ordered(1, 9, kind(format.Full), thin, knowing("S"), halfPast, boot(3)),
			ordered(2, 12, thin, since("T", 9), knowing("T"), boot(6)), "",
			"if the volume was in use between", false},
		"of a thick volume, which adopts none": {
			ordered(1, 9, kind(format.Full), knowing("S")),
			ordered(2, 12, since("T", 7), knowing("T")), "",
			"made after the one before was dumped", false},
	} {
		t.Run(name, func(t *testing.T) {
			v := Check(tt.a, tt.b)
			wantVerdict(t, v, tt.reason, tt.doubt)
			if v.Unknown != tt.unknown || v.Clock != tt.unknown {
				t.Errorf("%+v", v)
			}
		})
	}
}
