package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A round is one world with the files in which it is tried out.
type round struct {
	testing.TB
	*world
	dir   string
	files int
	pool  *poolRound // nil: destinations are files
}

// name makes up the name of a new file.
func (r *round) name(kind string) string {
	r.files++
	return filepath.Join(r.dir, fmt.Sprint(kind, r.files))
}

// put makes a file; nil: only its name.
func (r *round) put(content []byte) string {
	if r.pool != nil {
		return r.pool.put(r, content)
	}
	path := r.name("image")
	if content != nil {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			r.Fatal(err)
		}
	}
	return path
}

// get reads a file; nil: there is none.
func (r *round) get(path string) []byte {
	if v := r.pool.volume(path); v != nil {
		return v.device(r)
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.Fatal(err)
	}
	return b
}

// destination makes a file of the world's destination.
func (r *round) destination() string {
	if r.create {
		return r.put(nil)
	}
	return r.put(r.old)
}

// An attempt is one call of Run. At one of its steps, which come before each write
// and after each segment, something may happen.
type attempt struct {
	Options
	patches [][]byte
	how     way
	want    []byte // what the destination shall hold in the end
	at      int    // the step at which it happens, from 1 on; 0: never
	happens func()
	cancel  func()

	steps   int
	done    int64
	report  Report
	err     error
	partial *PartialError // err, if it's that
}

// A way is how a patch comes. Several come as files.
type way int

const (
	asFile way = iota
	throughPipe
	spooled
)

// attempt prepares to apply patches.
func (r *round) attempt(path string, want []byte, patches ...[]byte) *attempt {
	a := &attempt{patches: patches, want: want, how: way(r.rnd.IntN(3))}
	a.Destination, a.Verify = path, r.rnd.IntN(4) == 0
	return a
}

// applyChain prepares to apply the world's patches, mostly with an undo patch.
func (r *round) applyChain(path string) *attempt {
	var patches [][]byte
	for _, p := range r.chain {
		patches = append(patches, p.encoded)
	}
	a := r.attempt(path, r.new, patches...)
	a.Create, a.AllowSmaller = r.create, len(r.old) < len(r.state)
	if r.rnd.IntN(4) > 0 {
		a.Undo = r.name("undo")
	}
	return a
}

// onceMore prepares the same attempt onto another destination.
func (r *round) onceMore(a *attempt, path string) *attempt {
	b := &attempt{Options: a.Options, patches: a.patches, how: a.how, want: a.want}
	if b.Destination = path; a.Undo != "" {
		b.Undo = r.name("undo")
	}
	return b
}

func (r *round) inputs(a *attempt) (patches []Patch) {
	if len(a.patches) == 1 && a.how != asFile {
		if a.how == spooled {
			a.SpoolDir = r.dir
		}
		return []Patch{{Name: "patch", Reader: pipe(a.patches[0])}}
	}
	for i, b := range a.patches {
		patches = append(patches, Patch{Name: fmt.Sprint("patch ", i), Reader: bytes.NewReader(b)})
	}
	return patches
}

// A stepper is a context that tells of each time that Run asks it for its end.
type stepper struct {
	context.Context
	step func()
}

func (s stepper) Err() error {
	s.step()
	return s.Context.Err()
}

// try calls Run and checks what holds whatever comes of it.
func (r *round) try(a *attempt) *attempt {
	r.Helper()
	before := r.get(a.Destination)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.cancel = cancel
	var mu sync.Mutex // with an undo patch, two goroutines take steps
	step := func() {
		mu.Lock()
		defer mu.Unlock()
		if a.steps++; a.steps == a.at {
			a.happens()
		}
	}
	a.system, a.Warn = fake(r.pool.system(a.Destination)), func(string) {}
	a.Progress = func(s Stage, done int64) {
		if s == Applying {
			if done < a.done {
				r.Errorf("progress goes back from %d to %d", a.done, done)
			}
			a.done = done
		}
		step()
	}
	a.report, a.err = Run(stepper{ctx, step}, r.inputs(a), a.Options)
	if !errors.As(a.err, &a.partial) {
		a.partial = nil
	}
	r.check(a, before)
	return a
}

// check compares the destination with what the outcome of a run says of it: success,
// that all is there; a PartialError, how much is; any other error, nothing.
func (r *round) check(a *attempt, before []byte) {
	r.Helper()
	after := r.get(a.Destination)
	switch {
	case a.err == nil && a.DryRun:
		r.wantSame(a, after, before)
	case a.err == nil:
		r.wantSame(a, after, a.want)
		sum := a.report.Written + a.report.Zeroed + a.report.Right +
			a.report.Cut + a.report.Behind
		if total := a.report.Totals.Bytes(); sum != total || a.done != total && total > 0 {
			r.Errorf("%d of %d bytes are accounted for, progress ends at %d: %+v", sum,
				total, a.done, a.report)
		}
	case a.partial != nil:
		r.wantPart(a, after, before)
	default:
		r.wantSame(a, after, before)
	}
	kept := a.Undo != "" && !a.DryRun &&
		(a.partial != nil || a.err == nil && a.report.Written+a.report.Zeroed > 0)
	if _, err := os.Lstat(a.Undo); (err == nil) != kept {
		r.Errorf("%v: undo patch wanted: %t, found: %v", a.err, kept, err)
	}
	if r.Failed() {
		r.Fatalf("%v: %v", a, a.err)
	}
}

func (r *round) wantSame(a *attempt, got, want []byte) {
	r.Helper()
	if a == nil {
		a = new(attempt)
	}
	if bytes.Equal(got, want) && (got == nil) == (want == nil) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	r.Errorf("error %v: the destination has %d bytes and differs from byte %d on; want %d bytes",
		a.err, len(got), at, len(want))
}

// wantPart wants a destination that is part-way, and as far as the error says.
func (r *round) wantPart(a *attempt, got, before []byte) {
	r.Helper()
	if before == nil {
		before = make([]byte, len(a.want))
	}
	if len(got) != len(a.want) {
		r.Fatalf("%d bytes have become %d", len(a.want), len(got))
	}
	for i, b := range got {
		uncovered := r.pool != nil && a.Undo == "" && r.chain[0].isFull() // it can be anything then
		if b != a.want[i] && (b != before[i] && !uncovered || int64(i) < a.partial.Through) {
			r.Fatalf("byte %d is neither as it was nor as it shall be, or not written through %d",
				i, a.partial.Through)
		}
	}
	if a.partial.Undo != a.Undo || !a.partial.Durable {
		r.Errorf("%+v", a.partial)
	}
}

// mustSucceed wants that nothing failed.
func (r *round) mustSucceed(a *attempt) *attempt {
	r.Helper()
	if a.err != nil {
		r.Fatalf("%v: %v", a, a.err)
	}
	return a
}

// String says what was tried, for messages.
func (a *attempt) String() string {
	return fmt.Sprintf("{way %d, undo %t, verify %t, smaller %t, create %t, step %d of %d}",
		a.how, a.Undo != "", a.Verify, a.AllowSmaller, a.Create, a.at, a.steps)
}
