package prune

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lvmsync/apply"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/durable"
	"lvmsync/format/merge"
)

func options() Options {
	return Options{Made: merge.Made{Tool: "test"}, Warn: func(string) {},
		Did:      func(retention.Step, int64) {},
		Progress: func(apply.Stage, int64) {}}
}

// killedAt is a system in which the program is killed before it does something for the n-th time;
// did counts.
func killedAt(n int, did *int) system {
	may := func() error {
		if *did++; *did > n {
			*did = n + 1 // it stays dead
			return errKilled
		}
		return nil
	}
	return system{
		files: durable.FS{
			Write: func(f *os.File, b []byte) (int, error) {
				if err := may(); err != nil {
					half, _ := f.Write(b[:len(b)/2])
					return half, err
				}
				return f.Write(b)
			},
			Sync: func(f *os.File) error {
				if err := may(); err != nil {
					return err
				}
				return f.Sync()
			},
			Rename: func(from, to string) error {
				if err := may(); err != nil {
					return err
				}
				return os.Rename(from, to)
			},
		},
		remove: func(path string) error {
			if err := may(); err != nil {
				return err
			}
			return os.Remove(path)
		},
		chown: (*os.File).Chown,
		free:  free,
	}
}

func randomPolicy(rnd *rand.Rand) retention.Policy {
	p := retention.Policy{Last: rnd.IntN(4)}
	if rnd.IntN(2) == 0 {
		p.Daily = rnd.IntN(5)
	}
	if rnd.IntN(2) == 0 {
		p.Weekly = rnd.IntN(3)
	}
	if rnd.IntN(4) == 0 {
		p.Within = retention.Span{Days: 1 + rnd.IntN(5)}
	}
	return p
}

// plan is what is planned, once the newest state of each volume is kept or left alone.
func (h *history) plan(t *testing.T, p retention.Policy) (*archive.Archive, retention.Plan) {
	t.Helper()
	a, err := archive.Read(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	return a, retention.New(a, retention.Options{Policy: p, Now: h.now})
}

// kept are the states that are kept, or of volumes that are left alone.
func (h *history) kept(t *testing.T, a *archive.Archive, plan retention.Plan) map[*night]bool {
	t.Helper()
	states := make(map[*night]bool)
	for i, v := range plan.Volumes {
		for _, k := range v.Kept {
			states[h.night(t, k.Patch)] = true
		}
		for _, c := range a.Volumes[i].Chains {
			for _, p := range c.Patches {
				if len(v.Alone) > 0 {
					states[h.night(t, p)] = true
				}
			}
		}
	}
	for volume, state := range h.newest {
		if !states[state] {
			t.Fatalf("the newest state of %q goes, %s", volume, state.state())
		}
	}
	return states
}

// prune plans and does it, and returns the states that are kept.
func (h *history) prune(t *testing.T, p retention.Policy, sys system) (map[*night]bool, error) {
	t.Helper()
	a, plan := h.plan(t, p)
	states, before := h.kept(t, a, plan), contents(t, h.dir)
	_, err := run(t.Context(), a, plan, options(), sys)
	after := contents(t, h.dir)
	for _, v := range plan.Volumes {
		plan.Left = append(plan.Left, v.Left...)
	}
	for _, l := range plan.Left {
		if name := filepath.Base(l.Path); after[name] != before[name] {
			t.Fatalf("%s is not left alone", name)
		}
	}
	return states, err
}

// Whatever the folder and the rules, and wherever the program is killed: of every kept state there
// is what there was, byte by byte, and the next run leaves the files that one that wasn't killed
// leaves.
func TestKilled(t *testing.T) {
	kills, seeds := 0, []uint64{252, 372, 744, 1079} // which once went wrong
	for seed := range uint64(60) {
		if seed < 20 || !testing.Short() {
			seeds = append(seeds, seed)
		}
	}
	what := ""
	defer func() {
		if t.Failed() {
			t.Log(what)
		}
	}()
	for _, seed := range seeds {
		what = fmt.Sprint("seed ", seed)
		rnd := rand.New(rand.NewPCG(seed, 1))
		h, policy := newHistory(t, rnd), randomPolicy(rnd)
		whole, steps, readable := h.copied(t), 0, h.readable(t)
		kept, err := whole.prune(t, policy, killedAt(1<<30, &steps))
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(readable, func(state *night, _ []bool) bool { return !kept[state] })
		whole.has(t, readable)
		want := whole.names(t)
		again, err := whole.prune(t, policy, killedAt(0, new(int)))
		if !h.ways && (err != nil || !maps.Equal(again, kept)) {
			t.Fatalf("once more: %v", err)
		}
		for k := rnd.IntN(4); k < steps; k += 1 + rnd.IntN(4) {
			kills++
			what = fmt.Sprintf("seed %d, killed at %d of %d", seed, k, steps)
			killed := h.copied(t)
			if _, err := killed.prune(t, policy, killedAt(k, new(int))); err == nil {
				t.Fatal("it wasn't")
			}
			killed.has(t, readable)
			if _, err := killed.prune(t, policy, killedAt(1<<30, new(int))); err != nil {
				t.Fatal(err)
			}
			killed.has(t, readable)
			if got := killed.names(t); !h.ways && !slices.Equal(got, want) {
				t.Fatalf("left %v, want %v", got, want)
			}
		}
	}
	if !testing.Short() && kills < 200 {
		t.Errorf("killed %d times only", kills)
	}
}
