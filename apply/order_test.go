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
	h := format.Header{ID: number(id), Kind: format.Delta, Created: on(hour),
		VolumeSize: mib, Granularity: 4096}
	for _, t := range tweaks {
		t(&h)
	}
	return h
}

func kind(k format.Kind) tweak { return func(h *format.Header) { h.Kind = k } }

func lv(name, id string) tweak {
	return func(h *format.Header) { h.Source.VG, h.Source.LV, h.Source.LVUUID = "vg", name, id }
}

// after says which patch leads to the base.
func after(id byte) tweak {
	return func(h *format.Header) {
		h.Base = &format.Base{Patch: number(id)}
	}
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

func exactly(h *format.Header) { h.Base.Exact = true }

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
		{"full is newer, and first",
			[]format.Header{ordered(1, 12, kind(format.Full)), mon}, "1 2", nil},
		{"without full", []format.Header{tue, mon}, "3 2", []string{"2", "3"}},
		{"twice", []format.Header{full, mon, mon}, "2 2", nil},
		{"two full", []format.Header{full, ordered(4, 10, kind(format.Full))}, "1 4", nil},
		{"another volume", []format.Header{mon, ordered(3, 11, lv("b", "B"))}, "2 3", nil},
		{"a gap", []format.Header{mon, ordered(5, 11, after(4))}, "2 5", nil},
		{"undo", []format.Header{full, mon, undoMon}, "", nil},
		{"undo before its patch, which goes back and on again",
			[]format.Header{undoMon, mon}, "8 2", nil},
		{"one that belongs further ahead",
			[]format.Header{full, mon, tue, ordered(4, 9)}, "3 4", []string{"1", "4", "2", "3"}},
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
	if len(warnings) != 1 ||
		!strings.Contains(warnings[0], "not checked: 2 does not follow 1: it is older") {
		t.Errorf("warnings %q", warnings)
	}
}

// A doubt is told, with both names, and stops nothing; each of them once, though
// another order is looked for.
func TestOrderDoubt(t *testing.T) {
	var warnings []string
	o := Options{Warn: func(m string) { warnings = append(warnings, m) }}
	doubtful := chainOf(ordered(1, 9), ordered(2, 11, since("S", 10)),
		ordered(3, 13, since("T", 12)), ordered(4, 8))
	if err := doubtful.checkOrder(o); err == nil || err.(*OrderError).Fits == nil {
		t.Errorf("error %v", err)
	}
	if len(warnings) != 2 ||
		!strings.HasPrefix(warnings[0], "2 after 1: it starts from snapshot S") ||
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
