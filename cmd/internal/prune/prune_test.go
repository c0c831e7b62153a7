package prune

import (
	"math/rand/v2"
	"os"
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
		free: free,
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

// prune plans and does it, and returns the states that are kept or left alone.
func (h *history) prune(t *testing.T, p retention.Policy, sys system) ([]string, Done, error) {
	t.Helper()
	a, err := archive.Read(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	plan := retention.New(a, retention.Options{Policy: p, Now: h.now})
	var states []string
	for _, v := range plan.Volumes {
		for _, k := range v.Kept {
			states = append(states, k.State())
		}
	}
	done, err := run(t.Context(), a, plan, options(), sys)
	return states, done, err
}

// Whatever the folder and the rules, and wherever the program is killed: every kept state is still
// there, byte by byte, and the next run leaves the files that one that wasn't killed leaves.
func TestKilled(t *testing.T) {
	seeds, kills := uint64(30), 0
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 0))
		h, policy := newHistory(t, rnd), randomPolicy(rnd)
		whole, steps := h.copied(t), 0
		kept, _, err := whole.prune(t, policy, killedAt(1<<30, &steps))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		whole.has(t, "not killed", kept)
		want := whole.files(t)
		if again, done, err := whole.prune(t, policy, killedAt(0, new(int))); err != nil ||
			!slices.Equal(again, kept) {
			t.Fatalf("seed %d: once more: %v, %v", seed, done, err)
		}
		for k := range steps {
			kills++
			killed := h.copied(t)
			if _, _, err := killed.prune(t, policy, killedAt(k, new(int))); err == nil {
				t.Fatalf("seed %d: not killed at %d", seed, k)
			}
			killed.has(t, "killed", kept)
			if _, _, err := killed.prune(t, policy, killedAt(1<<30, new(int))); err != nil {
				t.Fatalf("seed %d, killed at %d: %v", seed, k, err)
			}
			killed.has(t, "killed and pruned again", kept)
			if got := killed.files(t); !slices.Equal(got, want) {
				t.Fatalf("seed %d, killed at %d: left %v, want %v", seed, k, got, want)
			}
		}
	}
	if !testing.Short() && kills < 300 {
		t.Errorf("killed %d times only", kills)
	}
}

// What would take a kept state away is not done, whatever the plan says.
func TestWrongPlan(t *testing.T) {
	h := newHistory(t, rand.New(rand.NewPCG(1, 0)))
	a, err := archive.Read(t.Context(), h.dir)
	if err != nil {
		t.Fatal(err)
	}
	plan := retention.New(a, retention.Options{Policy: retention.Policy{Last: 9}, Now: h.now})
	for i, v := range plan.Volumes {
		for _, k := range v.Kept {
			plan.Volumes[i].Steps = []retention.Step{{Remove: []*archive.Patch{k.Patch}}}
			if _, err := Run(t.Context(), a, plan, options()); err == nil {
				t.Errorf("%s is removed", k.Path)
			}
			h.has(t, "after a wrong plan", []string{k.State()})
		}
	}
}
