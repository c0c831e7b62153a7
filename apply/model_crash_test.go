package apply

import (
	"bytes"
	"slices"

	"lvmsync/format"
)

// The machine dies at any step, and in one of two worlds only the run is broken off
// there. Both go on from what there is then.
func (r *round) isKilled() {
	a := r.applyChain(r.destination())
	steps := r.mustSucceed(r.try(r.onceMore(a, r.destination()))).steps
	if steps == 0 {
		return
	}
	var part, undo []byte
	a.at = 1 + r.rnd.IntN(steps)
	a.happens = func() { // the destination before its undo patch: that is written ahead
		part, undo = r.get(a.Destination), r.get(a.Undo)
		a.cancel()
	}
	if r.try(a); a.partial != nil {
		r.goesOn(r.get(a.Destination), r.get(a.Undo))
	}
	if r.rnd.IntN(2) == 0 { // the power fails
		r.lose(part)
	}
	if undo != nil {
		undo = r.tear(undo, part)
	}
	r.goesOn(part, undo)
}

// The machine dies when all is written but the end of the undo patch; or that gets
// damaged later.
func (r *round) diesAtTheEnd() {
	a := r.applyChain(r.destination())
	a.Undo = r.name("undo")
	r.mustSucceed(r.try(a))
	undo := r.get(a.Undo)
	if undo == nil {
		return
	}
	damaged := slices.Clone(undo)
	damaged[r.rnd.IntN(len(undo))] ^= 1 << r.rnd.IntN(8)
	if b := r.try(r.attempt(a.Destination, r.old, damaged)); b.partial != nil &&
		b.how != throughPipe {
		r.Fatalf("%v: %v", b, b.err)
	}
	undo = r.tear(undo, r.new)
	r.goesOn(r.new, undo)
}

// goesOn goes on from a destination that was left part-way: to the end, and back to
// where that began; and, with the undo patch of what came before, if there is one, back
// to what was at first.
func (r *round) goesOn(part, undo []byte) {
	r.Helper()
	a := r.mustSucceed(r.try(r.applyChain(r.put(part))))
	if a.Undo != "" {
		r.takesBack(a.Destination, r.get(a.Undo), part)
	}
	if undo != nil {
		r.takesBack(r.put(part), undo, r.old)
	}
}

// takesBack applies an undo patch, now and then after a first try that is broken
// off, and takes that back too. One without its end must come as a file: only of that
// is it known that the end isn't still to come.
func (r *round) takesBack(path string, undo, want []byte) {
	r.Helper()
	if undo == nil { // nothing was changed
		r.wantSame(nil, r.get(path), want)
		return
	}
	a := r.attempt(path, want, undo)
	if segmentsEnd(undo) == len(undo) {
		a.how = asFile
	}
	if r.rnd.IntN(4) == 0 {
		first := r.onceMore(a, path)
		first.at, first.happens = 1+r.rnd.IntN(20), func() { first.cancel() }
		r.try(first)
	}
	a.Undo = r.name("undo")
	now := r.get(path)
	r.mustSucceed(r.try(a))
	if redo := r.get(a.Undo); redo != nil {
		r.mustSucceed(r.try(r.attempt(path, now, redo)))
	}
}

// lose takes back some of the blocks that had been written but not flushed.
func (r *round) lose(part []byte) {
	chance := r.rnd.IntN(5) // of 4, for each block
	for off := 0; off < min(len(part), len(r.old)); off += block {
		if r.rnd.IntN(4) < chance {
			copy(part[off:min(off+block, len(part))], r.old[off:])
		}
	}
}

// tear cuts off something of an undo patch behind what now takes, and puts in its place
// what a crash may leave there.
func (r *round) tear(undo, now []byte) []byte {
	r.Helper()
	needed := r.needed(undo, now)
	cut := needed + r.rnd.IntN(len(undo)-needed+1)
	rest := make([]byte, r.rnd.IntN(4096))
	undo = bytes.Clone(undo[:cut])
	switch r.rnd.IntN(3) {
	case 0:
		return undo
	case 1:
		r.scribble(rest)
	}
	return append(undo, rest...)
}

// needed is how much of an undo patch it takes to make of now what there was at
// first: what must have been durable.
func (r *round) needed(undo, now []byte) int {
	r.Helper()
	in, err := format.NewReader(bytes.NewReader(undo), format.ReaderOptions{})
	if err != nil {
		r.Fatal(err)
	}
	defer in.Close()
	now = bytes.Clone(now)
	for {
		s, err := in.Next()
		if bytes.Equal(now, r.old) {
			if err == nil {
				return int(s.Offset)
			}
			return segmentsEnd(undo)
		}
		if err != nil {
			r.Fatalf("the undo patch lacks some of what was overwritten: %v", err)
		}
		for x, data := range s.All() {
			clear(now[x.Off:x.End()])
			copy(now[x.Off:], data)
		}
		s.Release()
	}
}

// segmentsEnd is where the segments of a patch end, if it is whole.
func segmentsEnd(patch []byte) int {
	f, err := format.OpenFile(bytes.NewReader(patch), int64(len(patch)))
	if err != nil {
		return len(patch)
	}
	return len(patch) - 72 - (8 + 16 + 24*len(f.Index()) + 8) // docs/format.md: trailer and index
}
