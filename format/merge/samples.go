package merge

import (
	"cmp"
	"slices"

	"lvmsync/format"
)

// Samples are those of the fingerprints of several patches that follow one another. Those that
// none of the patches has in an extent are what the merged patch leaves as it is.
type Samples struct {
	all []sample // by place
}

// A sample is one of a patch, which is told by its place among the patches.
type sample struct {
	format.Sample
	patch   int
	touched bool // a patch has some of it in an extent
}

// NewSamples collects the samples of patches.
func NewSamples(headers []format.Header) *Samples {
	s := new(Samples)
	for i, h := range headers {
		if h.Base == nil {
			continue
		}
		for _, x := range h.Base.Fingerprint {
			s.all = append(s.all, sample{Sample: x, patch: i})
		}
	}
	slices.SortStableFunc(s.all, func(a, b sample) int { return cmp.Compare(a.Offset, b.Offset) })
	return s
}

// Touch notes an extent of any of the patches.
func (s *Samples) Touch(e format.Extent) {
	i, _ := slices.BinarySearchFunc(s.all, e.Off-format.SampleSize+1,
		func(x sample, off int64) int { return cmp.Compare(x.Offset, off) })
	for ; i < len(s.all) && s.all[i].Offset < e.End(); i++ {
		s.all[i].touched = true
	}
}

// Contradicted are the samples, by the place of their patch among the patches, that can't hold
// where those of an earlier patch do, though nothing is written there in between.
func (s *Samples) Contradicted() map[int]int {
	found := make(map[int]int)
	for i := 1; i < len(s.all); i++ {
		a, b := s.all[i-1], s.all[i]
		if !a.touched && a.Offset == b.Offset && a.Hash != b.Hash {
			found[b.patch]++
		}
	}
	return found
}

// Fingerprint is that of the merged patch.
func (s *Samples) Fingerprint() format.Fingerprint {
	var left format.Fingerprint
	end := int64(0)
	for _, x := range s.all {
		if !x.touched && x.Offset >= end {
			left = append(left, x.Sample)
			end = x.Offset + format.SampleSize
		}
	}
	return spread(left, format.MaxSamples)
}

// spread takes n samples at most, spread evenly.
func spread(f format.Fingerprint, n int) format.Fingerprint {
	if len(f) <= n {
		return f
	}
	var some format.Fingerprint
	for i := range n {
		some = append(some, f[i*len(f)/n])
	}
	return some
}
