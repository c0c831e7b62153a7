// Package storage tells which storage a block device or file stands for, and who else uses, mounts,
// locks or shares it.
//
// It reads /proc and /sys as the calling process sees them: mounts in the mount namespaces of other
// processes are users as far as these can be looked at, which takes root. What it tells is a look
// at a moment. All of it may be called concurrently.
package storage

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"lvmsync/format/storage/dmtable"
	"lvmsync/format/storage/kernel"
)

// A span is a range of bytes of a device or file.
type span struct{ start, end int64 }

// everything is all of a device or file, however large.
var everything = span{0, math.MaxInt64}

func (s span) empty() bool { return s.start >= s.end }

func (s span) and(o span) span { return span{max(s.start, o.start), min(s.end, o.end)} }

// Storage is what a device or file stands for: bytes of itself, of what it stands on, and so on
// down to disks and image files. Two that share a byte are two names for the same storage, or one
// is a part of the other.
type Storage struct {
	id    ID
	order []ID // from the top down: each before what it stands on itself
	parts map[ID]*holding
}

// A holding is what of a device or file belongs to a storage.
type holding struct {
	sure   []span
	partly []span // some of it does, among what belongs to others
}

// Of finds the storage that a block device or file stands for: the disk of a partition; what
// device-mapper, md and others are made of; the file or device behind a loop device, by what the
// kernel says that it is, whatever name it has now. It ends at files, for the device that a file
// system is on holds them as it likes. It's a look at a moment: devices may change.
//
// A driver that keeps apart what it places on the same device, as thin volumes are in a pool, is
// believed: those don't share storage. Nor does a snapshot share its origin's, of which it only
// reads.
func Of(id ID) (Storage, error) { return newSurvey().storageOf(id, everything, nil) }

// MayShare tells whether two devices or files may share storage, as far as that can be told where
// device-mapper is not to be asked: those that have a part of the same device may.
func MayShare(a, b ID) (bool, error) {
	v := newSurvey()
	v.table = func(kernel.DevNum) (dmtable.Table, error) { return nil, errors.New("not asked") }
	s, err := v.storageOf(a, everything, nil)
	if err != nil {
		return false, err
	}
	o, err := v.storageOf(b, everything, nil)
	partly := func(a, b *holding) bool { return overlap(a.partly, b.partly) }
	return s.Overlaps(o) || s.shares(o, partly), err
}

// SameStart tells whether the first n bytes of two devices or files are known to share storage.
func SameStart(a, b ID, n int64) (bool, error) {
	v := newSurvey()
	s, err := v.storageOf(a, span{0, n}, nil)
	if err != nil {
		return false, err
	}
	o, err := v.storageOf(b, span{0, n}, nil)
	return s.shares(o, func(a, b *holding) bool { return overlap(a.sure, b.sure) }), err
}

// Overlaps tells whether something that is written to the one may change the other.
func (s Storage) Overlaps(o Storage) bool {
	return s.shares(o, func(a, b *holding) bool {
		return overlap(a.sure, b.sure) || overlap(a.sure, b.partly) || overlap(a.partly, b.sure)
	})
}

// shares tells whether there is a device or file of which both hold something in the given way.
func (s Storage) shares(o Storage, how func(a, b *holding) bool) bool {
	for id, a := range s.parts {
		if b := o.parts[id]; b != nil && how(a, b) {
			return true
		}
	}
	return false
}

// covers tells whether all of the first size bytes of a device or file belong to the storage.
func (s Storage) covers(id ID, size int64) bool {
	h := s.parts[id]
	return h != nil && covers(h.sure, span{0, size})
}

// below lists what is below the device or file itself, from the top down.
func (s Storage) below() []ID { return s.order[1:] }

// A survey remembers what devices consist of while several of them are looked at.
type survey struct {
	known map[ID][]stretch
	table tableReader
}

func newSurvey() survey { return survey{make(map[ID][]stretch), readTable} }

func (v survey) partsOf(id ID) ([]stretch, error) {
	if known, ok := v.known[id]; ok {
		return known, nil
	}
	parts, err := partsOf(id, v.table)
	if err != nil {
		return nil, fmt.Errorf("find what %s stands on: %w", id, err)
	}
	v.known[id] = parts
	return parts, nil
}

// storageOf is Of for a part of a device or file. It looks no further down than to where stop, if
// it's given, says so.
func (v survey) storageOf(id ID, part span, stop func(ID) bool) (Storage, error) {
	s := Storage{id: id, parts: make(map[ID]*holding)}
	var lay func(id ID, where []span, sure bool, above []ID) error
	lay = func(id ID, where []span, sure bool, above []ID) error {
		if slices.Contains(above, id) || len(where) == 0 {
			return nil // the kernel allows no loops
		}
		s.add(id, where, sure)
		if stop != nil && stop(id) {
			return nil
		}
		parts, err := v.partsOf(id)
		if err != nil {
			return err
		}
		for _, p := range parts {
			down, surely := p.under(where)
			if err := lay(p.to, down, sure && surely, append(above, id)); err != nil {
				return err
			}
		}
		return nil
	}
	err := lay(id, []span{part}, true, nil)
	s.order = v.inOrder(id, s.parts)
	return s, err
}

// inOrder lists what belongs to a storage from id, at its top, down.
func (v survey) inOrder(id ID, parts map[ID]*holding) (order []ID) {
	seen := make(map[ID]bool)
	var visit func(ID)
	visit = func(id ID) {
		if seen[id] || parts[id] == nil {
			return
		}
		seen[id] = true
		for _, p := range slices.Backward(v.known[id]) {
			visit(p.to)
		}
		order = append(order, id) // after all that it stands on
	}
	visit(id)
	slices.Reverse(order)
	return order
}

func (s *Storage) add(id ID, where []span, sure bool) {
	h := s.parts[id]
	if h == nil {
		h = new(holding)
		s.parts[id] = h
	}
	if sure {
		h.sure = append(h.sure, where...)
	} else {
		h.partly = append(h.partly, where...)
	}
}

// under tells where on the device below the given bytes of the one above are, as far as they belong
// to the part. It gives false if they are somewhere there, among others.
func (p stretch) under(where []span) (down []span, sure bool) {
	if p.how == readOnly {
		return nil, true
	}
	for _, w := range where {
		in := w.and(p.up)
		switch {
		case in.empty():
		case p.how == straight:
			shift := p.down.start - p.up.start
			down = append(down, span{in.start + shift, in.end + shift})
		default:
			return []span{p.down}, p.how == scattered && covers(where, p.up)
		}
	}
	return down, true
}

// overlap tells whether a byte is in both.
func overlap(a, b []span) bool {
	a, b = inOrder(a), inOrder(b)
	for len(a) > 0 && len(b) > 0 {
		if !a[0].and(b[0]).empty() {
			return true
		}
		if a[0].end < b[0].end {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return false
}

// covers tells whether the spans together have all of one.
func covers(spans []span, all span) bool {
	for _, s := range inOrder(spans) {
		if s.start <= all.start {
			all.start = max(all.start, s.end)
		}
	}
	return all.empty()
}

func inOrder(spans []span) []span {
	return slices.SortedFunc(slices.Values(spans), func(a, b span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
}
