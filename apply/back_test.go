package apply

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// history is a destination to which patches were applied in runs of their own, each with
// an undo patch.
type history struct {
	path   string
	states [][]byte // what the destination held before each run, and after the last
	undo   []string // one for each run
}

// A past is the patch of a run.
type past struct {
	header  func(*format.Header)
	extents []format.Extent
	again   bool // with the data of the run before: there is nothing to do
}

func newHistory(t *testing.T, size int64, runs ...past) *history {
	t.Helper()
	dir := t.TempDir()
	content := garbage(size)
	h := &history{path: image(t, dir, content), states: [][]byte{content}}
	for i, run := range runs {
		v := newVolume(format.Delta, size, run.extents)
		v.header.ID = number(byte(i + 1))
		run.header(&v.header)
		key := i
		if run.again {
			key--
		}
		for _, p := range v.segments[0] {
			for at := range p.data { // each run's own
				p.data[at] ^= byte(key)
			}
		}
		b, _ := v.patch(t)
		undo := filepath.Join(dir, fmt.Sprintf("undo%d", i+1))
		apply(t, h.path, bytes.NewReader(b), func(o *Options) { o.Undo = undo })
		content = v.onto(content, 1)
		h.states = append(h.states, content)
		if _, err := os.Stat(undo); err == nil {
			h.undo = append(h.undo, undo)
		}
	}
	wantContent(t, h.path, content)
	return h
}

// goBack applies the undo patches with those numbers, from 1 on, as one.
func (h *history) goBack(t *testing.T, numbers ...int) *run {
	t.Helper()
	return newRun(h.path).doAll(t.Context(), h.patches(t, numbers))
}

func (h *history) patches(t *testing.T, numbers []int) (patches []Patch) {
	t.Helper()
	for _, n := range numbers {
		b, err := os.ReadFile(h.undo[n-1])
		if err != nil {
			t.Fatal(err)
		}
		patches = append(patches, Patch{fmt.Sprintf("undo%d", n), bytes.NewReader(b)})
	}
	return patches
}

func nameless(*format.Header) {}

// between says which snapshots a patch leads from and to.
func between(a, b string) func(*format.Header) {
	return func(h *format.Header) {
		h.Base = &format.Base{Snapshot: a, SnapshotCreated: on(1)}
		h.State = &format.State{Snapshot: b, SnapshotCreated: on(2)}
	}
}

// Undo patches of runs of their own go back together, the newest first: where names link
// them without a word, else if each finds what it replaces.
func TestUndoChain(t *testing.T) {
	over := []format.Extent{data(4096, 65536)} // written by all of them
	apart := func(i int64) []format.Extent { return []format.Extent{data(i*200_704, 8192)} }
	for name, tt := range map[string]struct {
		runs  []past
		back  []int
		leads int    // to before that run
		warns string // in each warning; empty: none
		fails string
		fits  string // an order that is proposed
	}{
		"one over the other": {[]past{{nameless, over, false}, {nameless, over, false}},
			[]int{2, 1}, 1, "no name links", "", ""},
		"three": {[]past{{nameless, over, false}, {nameless, over, false}, {nameless, over, false}},
			[]int{3, 2, 1}, 1, "no name links", "", ""},
		"part of the way": {[]past{{nameless, over, false}, {nameless, over, false},
			{nameless, over, false}}, []int{3, 2}, 2, "no name links", "", ""},
		"linked by snapshots": {[]past{{between("R", "S"), over, false},
			{between("S", "T"), over, false}, {between("T", "U"), over, false}},
			[]int{3, 2, 1}, 1, "", "", ""},
		"apart from one another": {[]past{{nameless, apart(0), false}, {nameless, apart(1), false}},
			[]int{2, 1}, 1, "no name links", "", ""},
		"oldest first, apart": {[]past{{nameless, apart(0), false}, {nameless, apart(1), false}},
			[]int{1, 2}, 1, "no name links", "", ""},
		"oldest first": {[]past{{nameless, over, false}, {nameless, over, false}}, []int{1, 2}, 0,
			"no name links", "undo patches go back the newest first", "undo2 undo1"},
		"oldest first, by names": {
			[]past{{between("R", "S"), over, false}, {between("S", "T"), over, false}}, []int{1, 2},
			0, "", "undo patches go back the newest first", "undo2 undo1"},
		"one between is missing": {
			[]past{{nameless, over, false}, {nameless, over, false}, {nameless, over, false}},
			[]int{3, 1}, 0, "no name links", "what comes before undo1 is not its base", ""},
		"the newest is missing": {
			[]past{{nameless, over, false}, {nameless, over, false}, {nameless, over, false}},
			[]int{2, 1}, 0, "no name links", "does not hold the base", ""},
		"one that had nothing to do": {[]past{{between("R", "S"), over, false},
			{between("S", "T"), over, true}, {between("T", "U"), over, false}}, []int{2, 1}, 1,
			"no name links", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t, mib, tt.runs...)
			r := h.goBack(t, tt.back...)
			for _, w := range r.warnings {
				if tt.warns == "" || !strings.Contains(w, tt.warns) {
					t.Errorf("warning %q", w)
				}
			}
			if tt.warns != "" && len(r.warnings) != len(tt.back)-1 {
				t.Errorf("warnings %q", r.warnings)
			}
			if tt.fails == "" {
				if r.err != nil {
					t.Fatal(r.err)
				}
				wantContent(t, h.path, h.states[tt.leads-1])
				return
			}
			r.wantError(t, ErrWrongBase, tt.fails)
			wantContent(t, h.path, h.states[len(h.states)-1])
			var order *OrderError
			if errors.As(r.err, &order); tt.fits != "" &&
				(order == nil || strings.Join(order.Fits, " ") != tt.fits) {
				t.Errorf("%v proposes %+v", r.err, order)
			}
		})
	}
}

// A run that was broken off, and its repetition, are taken back together: what the first
// one had saved and not overwritten is saved by the second one again.
func TestUndoChainOfRepeatedRun(t *testing.T) {
	const size = 8 * undoBatch
	v := newVolume(format.Delta, size, []format.Extent{data(0, mib)},
		[]format.Extent{data(2*undoBatch, mib)}, []format.Extent{data(5*undoBatch, mib)})
	b, _ := v.patch(t)
	content := garbage(size)
	h := &history{path: image(t, t.TempDir(), content)}
	h.undo = []string{h.path + ".1", h.path + ".2"}
	// All of it was saved, half of it was overwritten.
	apply(t, h.path, bytes.NewReader(b), func(o *Options) { o.Undo = h.undo[0] })
	half := slices.Concat(v.onto(content, 3)[:size/4], content[size/4:])
	if err := os.WriteFile(h.path, half, 0o600); err != nil {
		t.Fatal(err)
	}
	apply(t, h.path, bytes.NewReader(b), func(o *Options) { o.Undo = h.undo[1] })
	if r := h.goBack(t, 2, 1); r.err != nil {
		t.Fatal(r.err)
	}
	wantContent(t, h.path, content)
}

// What can't be told, or can be used alone only, says in which order.
func TestUndoOneByOne(t *testing.T) {
	h := newHistory(t, mib, past{nameless, []format.Extent{data(0, 8192)}, false},
		past{nameless, []format.Extent{data(0, 8192)}, false})
	patches := h.patches(t, []int{2, 1})
	cut, _ := os.ReadFile(h.undo[1])
	patches[0].Reader = bytes.NewReader(cut[:len(cut)-72])
	r := newRun(h.path).doAll(t.Context(), patches)
	var alone *AloneError
	if !errors.As(r.err, &alone) || strings.Join(alone.OneByOne, " ") != "undo2 undo1" {
		t.Errorf("%v: %+v", r.err, alone)
	}
	r.wantError(t, format.ErrTruncated, "undo2: patch is truncated")

	// Of blocks of a pool an undo patch doesn't say what is there now.
	c := chainOf(ordered(2, 9, kind(format.Undo), after(2)),
		ordered(1, 8, kind(format.Undo), after(1)))
	if err := c.checkOrder(Options{Warn: func(string) {}}); err != nil {
		t.Fatal(err)
	}
	c.patches[1].unhashed = unhashed(&format.Segment{
		Records: []format.Record{{Extent: data(0, 512)}, {Extent: data(4096, 4096)}}})
	err := c.checkHashed()
	if alone = nil; !errors.As(err, &alone) || !errors.Is(err, ErrWrongBase) ||
		!strings.Contains(err.Error(), "of 4096 bytes it doesn't say") ||
		strings.Join(alone.OneByOne, " ") != "2 1" {
		t.Errorf("%v", err)
	}
}

// Who wants no bases checked is told that this order wasn't, either.
func TestUndoChainNotChecked(t *testing.T) {
	over := []format.Extent{data(0, 8192)}
	h := newHistory(t, mib, past{nameless, over, false}, past{nameless, over, false})
	r := newRun(h.path)
	r.NoCheckBase = true
	r.doAll(t.Context(), h.patches(t, []int{2, 1}))
	if r.err != nil || !slices.Contains(r.warnings, "not checked: whether undo1 follows undo2") {
		t.Errorf("%v; warnings %q", r.err, r.warnings)
	}
}

// What an undo patch says of where it starts and where it leads.
func TestUndoNames(t *testing.T) {
	delta := ordered(1, 9, since("S", 7))
	delta.State = &format.State{Snapshot: "T", SnapshotCreated: on(8)}
	rest := delta
	rest.Start = 4096
	for name, tt := range map[string]struct {
		patches    []format.Header
		from, upTo string
	}{
		"delta":    {[]format.Header{delta}, "T", "S"},
		"its rest": {[]format.Header{rest}, "T", ""}, // what it takes back began in an earlier run
		"chain":    {[]format.Header{ordered(2, 8, kind(format.Full)), delta}, "T", ""},
		"no names": {[]format.Header{ordered(3, 9)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := undoHeader(tt.patches, &destination{size: mib},
				Options{system: fake(&fakeSystem{})})
			if follow.BaseOf(h).Snapshot != tt.from || follow.StateOf(h).Snapshot != tt.upTo {
				t.Errorf("base %+v, state %+v", h.Base, h.State)
			}
		})
	}
}

// A run that takes back what the one before it did leaves there what that one's undo patch
// leads to. That this is the order of the runs, and not the newest first, only their times tell.
func TestUndoChainOfReversedRun(t *testing.T) {
	for name, headers := range map[string][2]func(*format.Header){
		"no names":                  {nameless, nameless},
		"names that link both ways": {between("S", "T"), between("T", "S")},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{path: filepath.Join(t.TempDir(), "image"), states: [][]byte{garbage(mib)}}
			if err := os.WriteFile(h.path, h.states[0], 0o600); err != nil {
				t.Fatal(err)
			}
			for i, extents := range [][]format.Extent{{data(0, 8192), data(65536, 8192)},
				{data(0, 8192)}} {
				v := newVolume(format.Delta, mib, extents)
				v.header.ID = number(byte(i + 1))
				headers[i](&v.header)
				if i == 1 {
					copy(v.segments[0][0].data, h.states[0])
				}
				b, _ := v.patch(t)
				h.undo = append(h.undo, fmt.Sprint(h.path, ".undo", i+1))
				apply(t, h.path, bytes.NewReader(b), func(o *Options) { o.Undo = h.undo[i] })
				h.states = append(h.states, v.onto(h.states[i], 1))
			}
			r := h.goBack(t, 1, 2)
			r.wantError(t, ErrWrongBase, "undo2 does not follow undo1: "+
				"undo patches go back the newest first, and at bytes [0, 4096)")
			var order *OrderError
			if !errors.As(r.err, &order) || strings.Join(order.Fits, " ") != "undo2 undo1" {
				t.Errorf("%+v", order)
			}
			wantContent(t, h.path, h.states[2])
			if r := h.goBack(t, 2, 1); r.err != nil {
				t.Fatal(r.err)
			}
			wantContent(t, h.path, h.states[0])
		})
	}
}
