package apply

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"lvmsync/format"
)

// TestModel applies random patches to random images, in all ways, breaks that off,
// and takes it back. What comes out is compared with bytes that were only copied.
//
// LVMSYNC_MODEL_SEED=n runs the round of that seed alone, LVMSYNC_MODEL_ROUNDS=n as
// many rounds, with seeds from that one on.
func TestModel(t *testing.T) {
	rounds := uint64(300)
	if os.Getenv("LVMSYNC_MODEL_SEED") != "" {
		rounds = 1
	}
	first, rounds := fromEnvironment(t, "LVMSYNC_MODEL_SEED", 0),
		fromEnvironment(t, "LVMSYNC_MODEL_ROUNDS", rounds)
	for seed := first; seed < first+rounds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("once more: LVMSYNC_MODEL_SEED=%d go test ./apply -run TestModel", seed)
				}
			}()
			checkModel(t, rand.NewPCG(seed, 0))
		})
	}
}

func fromEnvironment(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// choices are random numbers. The first are what bytes say, so that fuzzing can
// change one and leave the others.
type choices struct {
	bytes []byte
	then  rand.Source
}

func (c *choices) Uint64() uint64 {
	if len(c.bytes) == 0 {
		return c.then.Uint64()
	}
	b := c.bytes[0]
	c.bytes = c.bytes[1:]
	return uint64(b) * 0x0101_0101_0101_0101
}

// FuzzApply does the same with what the fuzzer makes up.
func FuzzApply(f *testing.F) {
	for _, seed := range []string{"", "0", "lvmsync",
		"\x00\xff\x80\x40 a longer one, for more of the choices", "\xff\xff\xff\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkModel(t, &choices{bytes: b, then: rand.NewChaCha8(sha256.Sum256(b))})
	})
}

// checkModel is one round: a world, and what may happen in it.
func checkModel(t *testing.T, source rand.Source) {
	rnd := rand.New(source)
	story := rnd.IntN(8)
	r := &round{TB: t, world: newWorld(t, rnd, 2), dir: quickDir(t)}
	defer func() {
		if t.Failed() {
			t.Logf("story %d: %v", story, r.world)
		}
	}()
	stories := []func(){r.succeeds, r.isKilled, r.isKilled, r.diesAtTheEnd, r.hasWrongBase,
		r.getsBrokenPatch, r.goesOneByOne, r.goesOneByOne}
	stories[story]()
}

// quickDir is a folder in memory, where nothing has to be waited for, unless TMPDIR says
// otherwise.
func quickDir(t *testing.T) string {
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err == nil && os.Getenv("TMPDIR") == "" {
		t.Setenv("TMPDIR", memory)
	}
	return t.TempDir()
}

// All goes well, also when it is done again, and it can be taken back: alone, or by
// going there and back in one.
func (r *round) succeeds() {
	dry := r.applyChain(r.destination())
	dry.DryRun = true
	r.mustSucceed(r.try(dry))

	a := r.mustSucceed(r.try(r.applyChain(r.destination())))
	again := r.mustSucceed(r.try(r.onceMore(a, a.Destination)))
	if again.Undo != "" && again.report.Written+again.report.Zeroed > 0 {
		r.Errorf("written again: %+v", again.report)
	}
	if a.Undo == "" || r.get(a.Undo) == nil {
		return
	}
	r.takesBack(a.Destination, r.get(a.Undo), r.old)
	back := r.onceMore(a, r.destination())
	back.patches, back.want = append(slices.Clone(a.patches), r.get(a.Undo)), r.old
	r.mustSucceed(r.try(back))
}

// A byte of the base differs where a patch says what it is.
func (r *round) hasWrongBase() {
	if !r.damage() {
		r.succeeds()
		return
	}
	a := r.applyChain(r.destination())
	dry := r.onceMore(a, r.destination())
	dry.DryRun = true
	if r.try(dry); !errors.Is(dry.err, ErrWrongBase) {
		r.Fatalf("%v, dry: %v", a, dry.err)
	}
	if r.try(a); !errors.Is(a.err, ErrWrongBase) {
		r.Fatalf("%v: %v", a, a.err)
	}
	if a.partial != nil {
		if len(a.patches) > 1 || a.how != throughPipe {
			r.Fatalf("%v: %v", a, a.err)
		}
		if a.Undo != "" {
			r.takesBack(a.Destination, r.get(a.Undo), r.old)
		}
	}
	forced := r.onceMore(a, r.destination())
	forced.NoCheckBase, forced.want = true, r.after(r.old)
	r.mustSucceed(r.try(forced))
}

// damage changes a byte of the destination that a patch vouches for.
func (r *round) damage() bool {
	for range 30 {
		i := r.rnd.IntN(len(r.chain))
		p := r.chain[i]
		var where []format.Extent
		for n, x := range p.pieces {
			if p.hashed[n] {
				where = append(where, x.Extent)
			}
		}
		if p.header.Base != nil {
			for _, s := range p.header.Base.Fingerprint {
				where = append(where, data(s.Offset, format.SampleSize))
			}
		}
		if len(where) > 0 && r.damageIn(i, where[r.rnd.IntN(len(where))]) {
			return true
		}
	}
	return false
}

// damageIn changes a byte in what patch i looks at, if nothing excuses that: neither
// does an earlier patch write it, nor can it pass for what later ones have written.
func (r *round) damageIn(i int, e format.Extent) bool {
	at := e.Off + r.rnd.Int64N(e.Len)
	if e.End() > int64(len(r.old)) {
		return false
	}
	for _, p := range r.chain[:i] {
		if p.covers(at, 1) {
			return false
		}
	}
	old := slices.Clone(r.old)
	old[at] ^= byte(1 + r.rnd.IntN(255))
	after := r.after(old)
	sample := !r.chain[i].covers(e.Off, e.Len)
	for _, p := range r.chain[i+1:] {
		if sample && p.covers(e.Off, e.Len) {
			return false
		}
	}
	if !sample && anyBlock(e, old, after) {
		return false
	}
	r.old = old
	return true
}

// A patch is cut off, or a bit of it flips: that is never applied to its end. The
// whole one then is.
func (r *round) getsBrokenPatch() {
	a := r.applyChain(r.destination())
	i := r.rnd.IntN(len(a.patches))
	bad := slices.Clone(a.patches[i])
	at := r.rnd.IntN(len(bad))
	if r.rnd.IntN(2) == 0 {
		bad = bad[:at]
	} else {
		bad[at] ^= 1 << r.rnd.IntN(8)
	}
	a.patches[i] = bad
	r.try(a)
	if a.err == nil || a.partial != nil && (len(a.patches) > 1 || a.how != throughPipe) {
		r.Fatalf("%v, patch %d broken at byte %d: %v", a, i, at, a.err)
	}
	if a.partial != nil {
		r.goesOn(r.get(a.Destination), r.get(a.Undo))
	}
}

// The patches are applied one by one, and taken back all at once.
func (r *round) goesOneByOne() {
	if !r.names {
		r.isKilled()
		return
	}
	path, now := r.put(r.old), slices.Clone(r.old)
	var undos [][]byte
	for _, p := range r.chain {
		p.onto(now)
		a := r.attempt(path, slices.Clone(now), p.encoded)
		a.AllowSmaller, a.Undo = len(r.old) < len(r.state), r.name("undo")
		r.mustSucceed(r.try(a))
		undo := r.get(a.Undo)
		if undo == nil { // nothing was changed: no undo patch follows the one before
			return
		}
		undos = slices.Insert(undos, 0, undo)
	}
	back := r.attempt(path, r.old, undos...)
	back.Undo = r.name("undo")
	r.mustSucceed(r.try(back))
	if redo := r.get(back.Undo); redo != nil {
		r.mustSucceed(r.try(r.attempt(path, now, redo)))
	}
}
