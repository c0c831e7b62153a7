package follow

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"lvmsync/format"
)

// merged says that the patch was merged of two: the first starts and the last leads as told.
func merged(first, last format.Header) format.Header {
	h := last
	h.ID, h.Kind, h.Base = number(99), first.Kind, first.Base
	s := StateOf(last)
	if s.Patch != uuid.Nil {
		s.Patches = append(slices.Clone(s.Patches), s.Patch)
	}
	s.Patch = last.ID
	h.State = &s
	h.Merged = &format.Merged{Patches: []uuid.UUID{first.ID, last.ID},
		First: &format.MergedPart{ID: first.ID, Kind: first.Kind, Created: first.Created,
			Source: &first.Source, VolumeSize: first.VolumeSize, State: first.State},
		Last: &format.MergedPart{ID: last.ID, Kind: last.Kind, Created: last.Created,
			VolumeSize: last.VolumeSize, Base: last.Base}}
	return h
}

// What names link has a name in common, a merged patch by both of its ends, and leads to the same
// state as its last one.
func TestNames(t *testing.T) {
	first := ordered(1, 1, since("S1", 1), upTo("S2", 2))
	last := ordered(2, 2, after(1))
	named := ordered(3, 2, since("S2", 2), upTo("S3", 3))
	again := ordered(4, 2, after(1), back(8))
	for name, pair := range map[string][2]format.Header{
		"patch":                    {first, ordered(5, 3, after(1))},
		"snapshot":                 {first, ordered(5, 3, since("S2", 2))},
		"behind a merged one":      {merged(first, last), ordered(5, 3, after(2))},
		"behind the merged one":    {merged(first, last), ordered(5, 3, after(99))},
		"behind its snapshot":      {merged(first, named), ordered(5, 3, since("S3", 3))},
		"behind one like its last": {merged(first, again), ordered(5, 3, after(8))},
		"before a merged one":      {ordered(5, 1, upTo("S1", 1)), merged(first, last)},
		"before one that follows":  {ordered(1, 1), merged(last, ordered(6, 4, after(2)))},
	} {
		a, b := pair[0], pair[1]
		leads, starts := Leads(a), Starts(b)
		if !Linked(a, b) || !slices.ContainsFunc(leads, func(n string) bool {
			return slices.Contains(starts, n)
		}) {
			t.Errorf("%s: linked %v, leads to %q, starts from %q", name, Linked(a, b), leads, starts)
		}
	}
	for _, h := range []format.Header{last, named, again} {
		if got := State(merged(first, h)); got != State(h) {
			t.Errorf("merged, it leads to %s, not %s", got, State(h))
		}
	}
}
