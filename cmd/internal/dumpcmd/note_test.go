package dumpcmd

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"lvmsync/dump"
	"lvmsync/format"
)

// What a comparison sends says in which notes that is, and what the notes are of is open until the
// comparison is closed.
func TestWithNotes(t *testing.T) {
	var closed []string
	opened := func(name string) dump.Source {
		return dump.Source{Close: func() error {
			closed = append(closed, name)
			return errors.New(name)
		}}
	}
	compared, notes := opened("volumes"), opened("notes")
	compared.Header.Source.VG = "vg"
	notes.Header.Source.Noted = map[string]uuid.UUID{"uuid-of-s": uuid.New()}
	src := withNotes(compared, notes)
	got := src.Header.Source
	if !maps.Equal(got.Noted, notes.Header.Source.Noted) || got.VG != "vg" {
		t.Errorf("the header has %+v", got)
	}
	if len(closed) > 0 {
		t.Errorf("closed early: %v", closed)
	}
	if err := src.Close(); err == nil || err.Error() != "volumes\nnotes" {
		t.Errorf("error %v", err)
	}
	if !slices.Equal(closed, []string{"volumes", "notes"}) {
		t.Errorf("closed %v", closed)
	}
}

// A snapshot that stands still has its name in the patch, and its volume.
func TestNamedWithNotes(t *testing.T) {
	var compared, notes dump.Source
	compared.Header.Source = format.Source{Type: "device", Path: "/dev/vg/s", LV: "s", LVUUID: "S"}
	notes.Header.Source = format.Source{Type: "thin", Path: "/dev/dm-1", LV: "v", LVUUID: "V",
		Snapshot: "s", SnapshotUUID: "S"}
	if src := withNotes(compared, notes).Header; src.State != nil || src.Source.LV != "s" {
		t.Errorf("in use: %+v", src)
	}
	notes.Header.State = &format.State{Snapshot: "S"}
	src := withNotes(compared, notes).Header
	want := format.Source{Type: "device", Path: "/dev/vg/s", LV: "v", LVUUID: "V", Snapshot: "s",
		SnapshotUUID: "S"}
	if !reflect.DeepEqual(src.Source, want) || src.State.Snapshot != "S" {
		t.Errorf("at rest: %+v", src)
	}
}

// Before a comparison ends, what its notes are of is checked, too: what was read is durable then.
func TestNotesChecked(t *testing.T) {
	failing := func(err error) dump.Source {
		return dump.Source{Check: func(context.Context) error { return err }}
	}
	lost, changed := errors.New("lost"), errors.New("changed")
	for _, tt := range []struct{ compared, notes, want error }{
		{nil, nil, nil}, {nil, lost, lost}, {changed, nil, changed}, {changed, lost, changed},
	} {
		src := withNotes(failing(tt.compared), failing(tt.notes))
		if err := src.Check(t.Context()); err != tt.want {
			t.Errorf("%v, %v: %v, want %v", tt.compared, tt.notes, err, tt.want)
		}
	}
}
