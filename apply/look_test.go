package apply

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"lvmsync/format"
)

// What patches are looked at over must hold just what they start from.
func TestLook(t *testing.T) {
	const size = 1 << 20
	base := random(51, size)
	one := changed(base, 52, 10, 20)
	two := changed(one, 53, 15, 30)
	first, second := exactPatch(t, base, one), exactPatch(t, one, two)
	partWay := slices.Clone(base)
	copy(partWay[:blocks(15)], one)
	full, _ := newVolume(format.Full, size, []format.Extent{zero(0, size)}).patch(t)
	for name, tt := range map[string]struct {
		base    []byte // nil: none
		patches [][]byte
		wrong   bool
	}{
		"the base":                {base, [][]byte{first, second}, false},
		"the base of one":         {base, [][]byte{first}, false},
		"a larger one":            {append(slices.Clone(base), 1), [][]byte{first}, false},
		"that of another":         {two, [][]byte{first, second}, true},
		"what the first leads to": {one, [][]byte{first, second}, true},
		"part-way":                {partWay, [][]byte{first, second}, true},
		"one is missing":          {base, [][]byte{second}, true},
		"the wrong order":         {base, [][]byte{second, first}, true},
		"a smaller one":           {base[:size-1], [][]byte{first}, true},
		"a full patch":            {nil, [][]byte{full}, false},
		"another full patch":      {nil, [][]byte{full, second}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var patches []Patch
			for _, b := range tt.patches {
				patches = append(patches, Patch{"patch", bytes.NewReader(b)})
			}
			var err error
			if tt.base == nil {
				err = Look(t.Context(), patches, nil, 0)
			} else {
				err = Look(t.Context(), patches, bytes.NewReader(tt.base), int64(len(tt.base)))
			}
			if errors.Is(err, ErrWrongBase) != tt.wrong || err != nil && !tt.wrong {
				t.Error(err)
			}
		})
	}
	if err := Look(t.Context(), []Patch{{"pipe", pipe(first)}}, bytes.NewReader(base),
		size); err == nil {
		t.Error("a pipe is taken")
	}
}
