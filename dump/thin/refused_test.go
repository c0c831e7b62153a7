package thin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lvmsync/dump/devmapper"
	"lvmsync/dump/thin/metadata"
)

// The pool and the volumes are looked at again when the last data has been read.
func TestCheckAgain(t *testing.T) {
	s := show(t)
	for name, tt := range map[string]struct {
		change func(s *shown)
		want   string
	}{
		"the pool has failed": {func(s *shown) {
			s.Status(s.pool, 1, "0 131072 thin-pool Fail", "")
		}, "has failed"},
		"the volume is gone": {func(s *shown) {
			s.Device(s.nums["o"], "vg-another", "0 8 linear 4095:3 0")
		}, "no longer there"},
		"the base is gone": {func(s *shown) {
			s.Device(s.nums["s"], "vg-another", "0 8 linear 4095:3 0")
		}, "no longer there"},
	} {
		t.Run(name, func(t *testing.T) {
			s.reset()
			src, err := Open(t.Context(), s.paths["s"])
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if err := src.Source().Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			tt.change(s)
			if err := src.Source().Check(t.Context()); err == nil ||
				!strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// What can't be read rightly is refused, and nothing stays reserved.
func TestRefusedVolumes(t *testing.T) {
	s := show(t)
	for name, tt := range map[string]struct {
		change func(s *shown)
		want   error
		text   string
	}{
		"blocks of another size": {func(s *shown) {
			s.Device(s.pool, "vg-pool", strings.Replace(s.poolTable(), " 128 ", " 256 ", 1))
		}, nil, "the pool's table says 256"},
		"another pool": {func(s *shown) {
			s.Device(s.nums["o"], "vg-o", fmt.Sprintf("0 %d thin 4095:9 1", volumeSize/512))
		}, ErrOtherPool, ""},
		"a volume that the metadata don't have": {func(s *shown) {
			s.Device(s.nums["o"], "vg-o", fmt.Sprintf("0 %d thin %s 99", volumeSize/512, s.pool))
		}, metadata.ErrNoVolume, ""},
		"not thin": {func(s *shown) {
			s.Device(s.nums["s"], "vg-s", "0 8 linear 4095:3 0")
		}, ErrNotThin, ""},
		"being merged": {func(s *shown) {
			s.Device(s.nums["o"], "vg-o", "0 8 snapshot-merge 4095:3 4095:4 P 8")
		}, ErrMerging, ""},
		"without origin": {func(s *shown) { s.tell("s", volumeSize, "", nil) }, ErrNoOrigin, ""},
		"metadata held": {func(s *shown) {
			s.Status(s.pool, 1, fmt.Sprintf(poolStatus, "7"), "")
		}, ErrHeld, ""},
		"needs a check": {func(s *shown) {
			s.Status(s.pool, 1, strings.Replace(fmt.Sprintf(poolStatus, "-"),
				" - 1024", " needs_check 1024", 1), "")
		}, ErrPool, ""},
		"read-only": {func(s *shown) {
			s.Status(s.pool, 1, strings.Replace(fmt.Sprintf(poolStatus, "-"),
				" rw ", " ro ", 1), "")
		}, ErrPool, ""},
		"a failed pool": {func(s *shown) {
			s.Status(s.pool, 1, "0 131072 thin-pool Fail", "")
		}, ErrPool, ""},
		"failed, by table": {func(s *shown) {
			s.Device(s.nums["o"], "vg-o", fmt.Sprintf("0 %d thin Fail", volumeSize/512))
		}, ErrPool, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.reset()
			tt.change(s)
			src, err := Open(t.Context(), s.paths["s"])
			if err == nil {
				src.Close()
			}
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) ||
				!strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v %s", err, tt.want, tt.text)
			}
			if status, err := devmapper.StatusOfPool(t.Context(), s.pool); err != nil ||
				!status.Failed && status.Held != 0 && status.Held != 7 {
				t.Errorf("block %d is still held: %v", status.Held, err)
			}
		})
	}
}

func (s *shown) poolTable() string {
	table, err := devmapper.TableOf(context.Background(), s.pool)
	if err != nil || len(table) != 1 {
		s.t.Fatal(table, err)
	}
	return fmt.Sprintf("0 %d thin-pool %s", table[0].LengthSectors,
		strings.Join(table[0].Args, " "))
}
