package apply

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lvmsync/format"
)

// on is a time of day on which a patch or a snapshot was made.
func on(hour int) time.Time { return time.Date(2026, 5, 6, hour, 0, 0, 0, time.UTC) }

// number makes a UUID.
func number(n byte) uuid.UUID { return uuid.UUID{15: n} }

// A tweak changes something of a header.
type tweak func(*format.Header)

// ordered is the header of a delta about which nothing is known but when it was
// made, with tweaks.
func ordered(id byte, hour int, tweaks ...tweak) format.Header {
	h := format.Header{ID: number(id), Kind: format.Delta, Created: on(hour), VolumeSize: mib, Granularity: 4096}
	for _, t := range tweaks {
		t(&h)
	}
	return h
}

func kind(k format.Kind) tweak { return func(h *format.Header) { h.Kind = k } }
func size(n int64) tweak       { return func(h *format.Header) { h.VolumeSize = n } }

func lv(name, id string) tweak {
	return func(h *format.Header) { h.Source.VG, h.Source.LV, h.Source.LVUUID = "vg", name, id }
}

// after says which patch leads to the base.
func after(id byte) tweak {
	return func(h *format.Header) {
		h.Base = &format.Base{Patch: number(id)}
	}
}

// from says which snapshot the patch starts from, by its UUID only.
func from(snapshot string) tweak {
	return func(h *format.Header) { h.Base.Snapshot = snapshot }
}

// back says which patch led to the state that the patch leads back to.
func back(id byte) tweak {
	return func(h *format.Header) { h.State = &format.State{Patch: number(id)} }
}

// since says which snapshot the patch starts from; hour 0: made nobody knows when.
func since(snapshot string, hour int) tweak {
	return func(h *format.Header) {
		h.Base = &format.Base{Snapshot: snapshot}
		if hour > 0 {
			h.Base.SnapshotCreated = on(hour)
		}
	}
}

// upTo says which snapshot the patch leads to.
func upTo(snapshot string, hour int) tweak {
	return func(h *format.Header) {
		h.State = &format.State{Snapshot: snapshot}
		if hour > 0 {
			h.State.SnapshotCreated = on(hour)
		}
	}
}

// knowing lists the snapshots of the volume that there were.
func knowing(snapshots ...string) tweak {
	return func(h *format.Header) {
		h.Source.LVUUID, h.Source.Snapshots = "A", append([]string{}, snapshots...)
	}
}

func exactly(h *format.Header)     { h.Base.Exact = true }
func undated(h *format.Header)     { h.Created = time.Time{} }
func halfPast(h *format.Header)    { h.Created = h.Created.Add(time.Second / 2) }
func namedSnap(h *format.Header)   { h.Source.VG, h.Source.Snapshot = "vg", "snap" }
func otherPath(h *format.Header)   { h.Source.Path, h.Source.LVUUID = "/dev/loop7", "loop" }
func withoutBase(h *format.Header) { h.Base = nil }

// What the headers of two patches tell of whether the second follows the first: a
// reason why not, a doubt, or nothing against it.
var misfits = []struct {
	name          string
	a, b          format.Header
	reason, doubt string
}{
	{"the same patch", ordered(1, 9), ordered(1, 9), "the same patch", ""},
	{"the same patch, though it follows itself", ordered(1, 9, after(1)), ordered(1, 9, after(1)), "the same patch", ""},
	{"full after another", ordered(1, 9), ordered(2, 10, kind(format.Full)), "a full patch, which needs none before it", ""},
	{"full after the one that it says to follow", ordered(1, 9), ordered(2, 10, kind(format.Full), after(1)), "a full patch", ""},
	{"delta after full", ordered(1, 9, kind(format.Full)), ordered(2, 10), "", ""},
	{"nothing known", ordered(1, 9), ordered(2, 10), "", ""},
	{"made at the same time", ordered(1, 9), ordered(2, 9), "", ""},
	{"older", ordered(1, 10), ordered(2, 9), "it is older, made", ""},
	{"of no date", ordered(1, 10), ordered(2, 9, undated), "when they were made is not known", ""},
	{"after one of no date", ordered(1, 10, undated), ordered(2, 9), "when they were made is not known", ""},

	{"follows by name", ordered(1, 9), ordered(2, 10, after(1)), "", ""},
	{"follows by name, whatever else", ordered(1, 10, lv("a", "A")), ordered(2, 9, after(1), lv("b", "B"), size(512)), "", ""},
	{"follows another by name", ordered(1, 9), ordered(2, 10, after(3)), "it follows the patch with the id " + number(3).String(), ""},
	{"undo after its patch", ordered(1, 9), ordered(2, 9, kind(format.Undo), after(1), exactly), "", ""},
	{"patch after its undo", ordered(2, 9, kind(format.Undo), after(1), back(7)), ordered(1, 9, after(7)), "", ""},
	{"patch after the undo of another", ordered(2, 9, kind(format.Undo), after(1), back(7)), ordered(3, 9, after(8)), "it follows the patch with the id", ""},
	{"undo of the first after undo of the second", ordered(4, 9, kind(format.Undo), after(2), back(1)), ordered(3, 8, kind(format.Undo), after(1)), "", ""},
	{"undo of the second after undo of the first", ordered(3, 8, kind(format.Undo), after(1)), ordered(4, 9, kind(format.Undo), after(2), back(1)), "undo patches go back the newest first", ""},
	{"undo after undo of another run", ordered(4, 9, kind(format.Undo), after(2)), ordered(3, 8, kind(format.Undo), after(1)), "", ""},
	{"the same, of another volume", ordered(4, 9, kind(format.Undo), after(2), lv("b", "B")), ordered(3, 8, kind(format.Undo), after(1), lv("a", "A")), "of different volumes", ""},
	{"undo to a snapshot, and undo from there", ordered(4, 9, kind(format.Undo), after(2), upTo("S", 7)), ordered(3, 8, kind(format.Undo), after(1), from("S")), "", ""},
	{"undo from a snapshot, and undo to there", ordered(3, 8, kind(format.Undo), after(1), from("S")), ordered(4, 9, kind(format.Undo), after(2), upTo("S", 7)), "undo patches go back the newest first", ""},
	{"undo to where a patch leads", ordered(1, 8, upTo("S", 7)), ordered(3, 9, kind(format.Undo), after(2), from("S")), "", ""},
	{"undo after a patch of no name", ordered(1, 8), ordered(3, 9, kind(format.Undo), after(2), from("S")), "it follows the patch with the id", ""},
	{"exactly from the snapshot that an undo leads to", ordered(3, 9, kind(format.Undo), after(1), upTo("S", 7)), ordered(2, 8, since("S", 7), exactly), "", "only if what that takes back was the first delta"},
	{"since the snapshot that an undo leads to", ordered(3, 9, kind(format.Undo), after(1), upTo("S", 7)), ordered(2, 8, since("S", 7)), "", ""},

	{"of other volumes", ordered(1, 9, lv("a", "A")), ordered(2, 10, lv("b", "B")), "of different volumes, vg/a and vg/b", ""},
	{"of a volume and a path", ordered(1, 9, lv("a", "A")), ordered(2, 10, otherPath), "of different volumes, vg/a and /dev/loop7", ""},
	{"of a volume that was renamed", ordered(1, 9, lv("a", "A")), ordered(2, 10, lv("b", "A")), "", ""},
	{"of a volume and nobody knows what", ordered(1, 9, lv("a", "A")), ordered(2, 10, lv("b", "")), "", ""},
	{"nobody knows what, and of a volume", ordered(1, 9), ordered(2, 10, lv("b", "B")), "", ""},
	{"of a template, and of its clone", ordered(1, 9, kind(format.Full), lv("template", "T")), ordered(2, 10, lv("clone", "C"), since("S", 9)), "of different volumes, vg/template and vg/clone", ""},
	{"of a clone in use, and since its snapshot", ordered(1, 9, kind(format.Full), lv("clone", "C")), ordered(2, 11, lv("clone", "C"), since("S", 10)), "", "if the volume was in use between"},
	{"of a clone in use, and since a snapshot of its template", ordered(1, 9, kind(format.Full), lv("clone", "C")), ordered(2, 11, lv("template", "T"), since("S", 8)), "of different volumes", ""},
	{"of a clone in use, and of its template since that", ordered(1, 9, kind(format.Full), lv("clone", "C")), ordered(2, 11, lv("template", "T"), since("C", 8)), "", "it starts from C as that was later"},
	{"the same, exactly", ordered(1, 9, kind(format.Full), lv("clone", "C")), ordered(2, 11, lv("template", "T"), since("C", 8), exactly), "", "it starts from C as that was later"},
	{"of a clone at rest, and since its snapshot", ordered(1, 9, kind(format.Full), lv("template", "T"), upTo("C", 7)), ordered(2, 11, lv("clone", "C"), since("S", 10)), "", "if the volume was in use between"},
	{"of a clone at rest, and since an older snapshot", ordered(1, 9, kind(format.Full), lv("template", "T"), upTo("C", 7)), ordered(2, 11, lv("clone", "C"), since("S", 8)), "", ""},
	{"of a clone at rest, and since that snapshot exactly", ordered(1, 9, kind(format.Full), lv("template", "T"), upTo("C", 7)), ordered(2, 11, lv("clone", "C"), since("S", 8), exactly), "exactly, and the one before leads past it", ""},
	{"of a clone at rest, and to an older snapshot of it", ordered(1, 9, kind(format.Full), lv("template", "T"), upTo("C", 6)), ordered(2, 11, lv("clone", "C"), since("S", 7), upTo("T", 8)), "it leads to a snapshot that is older", ""},
	{"of a clone at rest, and of another", ordered(1, 9, kind(format.Full), lv("template", "T"), upTo("C", 7)), ordered(2, 11, lv("clone", "D"), since("S", 8)), "of different volumes", ""},
	{"of a snapshot, and since that as a volume", ordered(1, 9, lv("b", "B"), upTo("S", 7)), ordered(2, 11, lv("s", "S"), since("S", 0)), "", ""},
	{"of a snapshot, and since that on another volume", ordered(1, 9, lv("b", "B"), upTo("S", 7)), ordered(2, 11, lv("a", "A"), since("S", 7)), "", ""},
	{"smaller", ordered(1, 9), ordered(2, 10, size(mib-512)), "its volume has 1048064 bytes, fewer than 1048576 before", ""},
	{"larger", ordered(1, 9), ordered(2, 10, size(mib+512)), "", ""},

	{"from the snapshot that is there", ordered(1, 9, upTo("S", 8)), ordered(2, 10, since("S", 8)), "", ""},
	{"from the snapshot that is there, exactly", ordered(1, 9, upTo("S", 8)), ordered(2, 10, since("S", 8), exactly), "", ""},
	{"from the snapshot that is there, made nobody knows when", ordered(1, 9, upTo("S", 0)), ordered(2, 10, since("S", 0), exactly), "", ""},
	{"from a newer snapshot", ordered(1, 9, upTo("S", 8)), ordered(2, 10, since("T", 9)), "a patch between them is missing", ""},
	{"from a newer snapshot with a name", ordered(1, 9, upTo("S", 8)), ordered(2, 10, since("T", 9), namedSnap), "it starts from snapshot vg/snap, made after", ""},
	{"from an older snapshot", ordered(1, 9, upTo("T", 8)), ordered(2, 10, since("S", 7)), "", "that this is older than where the one before leads, only the clock says"},
	{"back from a newer snapshot to an older one", ordered(1, 9, upTo("T", 8)), ordered(2, 11, since("U", 10), upTo("S", 7)), "", "it leads back to snapshot S: that this is older"},
	{"from one made in the same second", ordered(1, 9, upTo("T", 8)), ordered(2, 10, since("S", 8)), "both were made within the second", ""},
	{"from an older snapshot, exactly", ordered(1, 9, upTo("T", 8)), ordered(2, 10, since("S", 7), exactly), "it starts from snapshot S, where the one before does not lead", ""},
	{"from a snapshot made nobody knows when", ordered(1, 9, upTo("T", 8)), ordered(2, 10, since("S", 0)), "where the one before does not lead", ""},
	{"to a snapshot made nobody knows when", ordered(1, 9, upTo("T", 0)), ordered(2, 10, since("S", 7)), "when they were made is not known", ""},

	{"both since one snapshot", ordered(1, 9, since("S", 8)), ordered(2, 10, since("S", 8)), "", ""},
	{"from a snapshot that is newer, whatever the clock said", ordered(1, 9, upTo("S", 8), knowing("S")), ordered(2, 10, since("T", 7), knowing("S", "T")), "it starts from snapshot T, made after where the one before leads", ""},
	{"the same, with none listed later", ordered(1, 9, upTo("S", 8), knowing("S")), ordered(2, 10, since("T", 7), lv("a", "A")), "", "only the clock says"},
	{"the same, of another volume", ordered(1, 9, upTo("S", 8), knowing("S")), ordered(2, 10, since("T", 7)), "", "only the clock says"},
	{"the same, the first dumped later", ordered(1, 11, upTo("S", 8), knowing("S")), ordered(2, 10, since("T", 7), knowing("S", "T")), "", "only the clock says"},
	{"from a snapshot that was there, and may be newer", ordered(1, 9, upTo("S", 8), knowing("S", "T")), ordered(2, 10, since("T", 7), knowing("S", "T")), "", "only the clock says"},
	{"since a snapshot made after the dump, whatever the clock said", ordered(1, 9, knowing()), ordered(2, 10, since("S", 8), knowing("S")), "", "it starts from snapshot S, made after the one before was dumped"},
	{"since a snapshot that was there, whatever the clock said", ordered(1, 9, knowing("S")), ordered(2, 11, since("S", 10), knowing("S")), "", ""},
	{"exactly back from the volume", ordered(1, 9, kind(format.Full)), ordered(2, 11, since("", 0), upTo("S", 8), exactly), "", "something may be left"},
	{"exactly back from the volume after a newer snapshot", ordered(1, 10, kind(format.Full), upTo("T", 9)), ordered(2, 11, since("", 0), upTo("S", 8), exactly), "", "only the clock says; and it leads back from what the volume was"},
	{"exactly back from the volume after one from there", ordered(1, 9, since("S", 8)), ordered(2, 11, since("", 0), upTo("S", 8), exactly), "", "something may be left"},
	{"exactly back from the volume before a dump of it", ordered(1, 11, kind(format.Full)), ordered(2, 10, since("", 0), upTo("S", 8), exactly), "it is older, made", ""},
	{"both since one snapshot, made nobody knows when", ordered(1, 9, since("S", 0)), ordered(2, 10, since("S", 0)), "", ""},
	{"both since one snapshot, exactly", ordered(1, 9, since("S", 8)), ordered(2, 10, since("S", 8), exactly), "it starts from snapshot S exactly, and the one before leads past it", ""},
	{"both since one snapshot, the first exactly", ordered(1, 9, since("S", 8), exactly), ordered(2, 10, since("S", 8)), "", ""},
	{"since a snapshot older than the one before", ordered(1, 9, withoutBase), ordered(2, 10, since("S", 8)), "", ""},
	{"since an older snapshot, exactly", ordered(1, 9, since("R", 7)), ordered(2, 10, since("S", 8), exactly), "leads past it", ""},
	{"since a snapshot made after the one before", ordered(1, 9), ordered(2, 11, since("S", 10)), "", "if the volume was in use between"},
	{"the same, exactly", ordered(1, 9), ordered(2, 11, since("S", 10), exactly), "", "it starts from snapshot S, made"},
	{"since a snapshot made in the same second", ordered(1, 9, halfPast), ordered(2, 11, since("S", 9)), "", "if the volume was in use between"},
	{"since a snapshot made nobody knows when", ordered(1, 9), ordered(2, 10, since("S", 0)), "", "whether a patch between them is missing can't be told"},
	{"to an earlier patch, since a snapshot", ordered(1, 9, back(7)), ordered(2, 10, since("S", 8)), "", ""},
}

func TestMisfit(t *testing.T) {
	for _, tt := range misfits {
		t.Run(tt.name, func(t *testing.T) { wantVerdict(t, follows(tt.a, tt.b), tt.reason, tt.doubt) })
	}
}

// wantVerdict wants a reason and a doubt that have these words; none if they are empty.
func wantVerdict(t *testing.T, v verdict, reason, doubt string) {
	t.Helper()
	for _, told := range [][2]string{{v.reason, reason}, {v.doubt, doubt}} {
		if got, want := told[0], told[1]; want == "" && got != "" || !strings.Contains(got, want) || strings.Contains(got, "\n") {
			t.Errorf("reason %q, doubt %q; want %q and %q", v.reason, v.doubt, reason, doubt)
		}
	}
}

// chainOf is a chain with the names of its patches: their numbers.
func chainOf(headers ...format.Header) *chain {
	c := new(chain)
	for _, h := range headers {
		c.patches = append(c.patches, &input{name: fmt.Sprint(h.ID[15]), header: h})
	}
	return c
}

// The error names the first two that don't fit, and an order in which all would.
func TestCheckOrder(t *testing.T) {
	full := ordered(1, 9, kind(format.Full))
	mon, tue := ordered(2, 10, lv("a", "A")), ordered(3, 11, lv("a", "A"))
	undoMon := ordered(8, 12, kind(format.Undo), after(2), exactly)
	tests := []struct {
		name    string
		patches []format.Header
		between string // the names of the two; empty: they fit
		fits    []string
	}{
		{"one", []format.Header{mon}, "", nil},
		{"in order", []format.Header{full, mon, tue}, "", nil},
		{"two exchanged", []format.Header{full, tue, mon}, "3 2", []string{"1", "2", "3"}},
		{"full last", []format.Header{mon, tue, full}, "3 1", []string{"1", "2", "3"}},
		{"full is newer, and first", []format.Header{ordered(1, 12, kind(format.Full)), mon}, "1 2", nil},
		{"without full", []format.Header{tue, mon}, "3 2", []string{"2", "3"}},
		{"twice", []format.Header{full, mon, mon}, "2 2", nil},
		{"two full", []format.Header{full, ordered(4, 10, kind(format.Full))}, "1 4", nil},
		{"another volume", []format.Header{mon, ordered(3, 11, lv("b", "B"))}, "2 3", nil},
		{"a gap", []format.Header{mon, ordered(5, 11, after(4))}, "2 5", nil},
		{"undo", []format.Header{full, mon, undoMon}, "", nil},
		{"undo before its patch, which goes back and on again", []format.Header{undoMon, mon}, "8 2", nil},
		{"one that belongs further ahead", []format.Header{full, mon, tue, ordered(4, 9)}, "3 4", []string{"1", "4", "2", "3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := chainOf(tt.patches...)
			err := c.checkOrder(Options{Warn: func(m string) { t.Errorf("warning %q", m) }})
			var order *OrderError
			if tt.between == "" {
				if err != nil {
					t.Errorf("error %v", err)
				}
				return
			}
			if !errors.As(err, &order) || !errors.Is(err, ErrWrongBase) {
				t.Fatalf("error %v", err)
			}
			if got := order.Before + " " + order.After; got != tt.between {
				t.Errorf("%v: want it to be about %s", err, tt.between)
			}
			if d := cmp.Diff(tt.fits, order.Fits); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(chainOf(tt.patches...).headers(), c.headers()); d != "" {
				t.Errorf("the chain itself was put in order: %s", d)
			}
		})
	}
}

// Who doesn't want the base checked is told what would have been refused.
func TestOrderNotChecked(t *testing.T) {
	var warnings []string
	o := Options{NoCheckBase: true, Warn: func(m string) { warnings = append(warnings, m) }}
	if err := chainOf(ordered(1, 9), ordered(2, 8)).checkOrder(o); err != nil {
		t.Error(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "not checked: 2 does not follow 1: it is older") {
		t.Errorf("warnings %q", warnings)
	}
}

// A doubt is told, with both names, and stops nothing; each of them once, though
// another order is looked for.
func TestOrderDoubt(t *testing.T) {
	var warnings []string
	o := Options{Warn: func(m string) { warnings = append(warnings, m) }}
	doubtful := chainOf(ordered(1, 9), ordered(2, 11, since("S", 10)), ordered(3, 13, since("T", 12)), ordered(4, 8))
	if err := doubtful.checkOrder(o); err == nil || err.(*OrderError).Fits == nil {
		t.Errorf("error %v", err)
	}
	if len(warnings) != 2 || !strings.HasPrefix(warnings[0], "2 after 1: it starts from snapshot S") ||
		!strings.HasPrefix(warnings[1], "3 after 2: it starts from snapshot T") {
		t.Errorf("warnings %q", warnings)
	}
}

func TestOrderErrorText(t *testing.T) {
	e := &OrderError{Before: "mon", After: "tue", Reason: "why"}
	if e.Error() != "tue does not follow mon: why" {
		t.Errorf("%q", e.Error())
	}
	e.Unknown = true
	if e.Error() != "whether tue follows mon can't be told: why" {
		t.Errorf("%q", e.Error())
	}
}
