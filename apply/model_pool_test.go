package apply

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"lvmsync/format/storage"
)

// A poolRound makes the destinations of a round in a pool that does not zero its blocks.
type poolRound struct {
	*pool
	block, shift int64
	volumes      map[string]*thinVolume
}

func (p *poolRound) put(r *round, content []byte) string {
	v := p.pool.volume(r, content, p.block, p.shift)
	p.volumes[v.path] = v
	return v.path
}

func (p *poolRound) volume(path string) *thinVolume {
	if p == nil {
		return nil
	}
	return p.volumes[path]
}

func (p *poolRound) system(path string) *fakeSystem {
	if v := p.volume(path); v != nil {
		return &fakeSystem{parts: []storage.ThinPart{v.part}}
	}
	return &fakeSystem{}
}

// TestModelPool is TestModel where what reads as zeros may be uncovered to be something
// else by the next write beside it.
//
// LVMSYNC_MODEL_SEED and LVMSYNC_MODEL_ROUNDS do what they do there.
func TestModelPool(t *testing.T) {
	rounds := uint64(25)
	if os.Getenv("LVMSYNC_MODEL_SEED") != "" {
		rounds = 1
	}
	first, rounds := fromEnvironment(t, "LVMSYNC_MODEL_SEED", 0),
		fromEnvironment(t, "LVMSYNC_MODEL_ROUNDS", rounds)
	for seed := first; seed < first+rounds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, rnd, 6)
			// there is no device of that size
			for w.create || len(w.old)%512 != 0 || len(w.old) == 0 {
				w = newWorld(t, rnd, 6)
			}
			r := &round{TB: t, world: w, dir: quickDir(t), pool: &poolRound{
				pool:    newPool(t),
				block:   []int64{4096, 3 * 4096, 64 << 10, 100 << 10}[rnd.IntN(4)],
				shift:   []int64{0, 0, 3 * 512, 8192}[rnd.IntN(4)],
				volumes: make(map[string]*thinVolume),
			}}
			defer func() {
				if t.Failed() {
					t.Logf("blocks of %d bytes, shifted by %d: %v", r.pool.block,
						r.pool.shift, r.world)
				}
			}()
			stories := []func(){r.succeeds, r.isKilled, r.isKilled, r.hasWrongBase,
				r.getsBrokenPatch, r.goesOneByOne, r.uncovers, r.uncovers}
			stories[rnd.IntN(len(stories))]()
		})
	}
}

// The power fails, and of blocks that were written for the first time nothing has come
// to the disk: the undo patch takes back what that has uncovered; or the patch is a
// full one, applied again.
func (r *round) uncovers() {
	a := r.applyChain(r.destination())
	steps := r.mustSucceed(r.try(r.onceMore(a, r.destination()))).steps
	if steps == 0 {
		return
	}
	v := r.pool.volume(a.Destination)
	before := maps.Clone(v.mapped)
	var undo []byte
	a.at, a.happens = 1+r.rnd.IntN(steps), func() {
		undo = r.get(a.Undo)
		a.cancel()
	}
	if r.try(a); undo == nil && !r.chain[0].isFull() {
		return // what the patch leaves alone may be lost
	}
	chance := r.rnd.IntN(4)
	v.uncover(before, func() bool { return r.rnd.IntN(3) < chance })
	if undo == nil {
		again := r.onceMore(a, a.Destination)
		again.want = r.after(v.device(r))
		r.mustSucceed(r.try(again))
		return
	}
	back := r.attempt(a.Destination, r.old, undo)
	if back.want = slices.Clone(r.old); segmentsEnd(undo) == len(undo) {
		back.how = asFile
	}
	if n := len(r.state); n < len(r.old) { // what lies behind the volume isn't the undo patch's
		copy(back.want[n:], v.device(r)[n:])
	}
	r.mustSucceed(r.try(back))
}
