//go:build lvm

package lvmtest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// Killed at any point, a run leaves a destination that the patch completes, and that the undo patch
// takes back, if there was to be one. The points are bytes that the program has written to whatever
// file, told by the kernel: they spread over undo patch and destination, the middle of a write
// included.
func TestKilled(t *testing.T) {
	newVG(t, "killed", 1)
	k := &killing{rnd: seeded(t), dest: plain(t, "killed", "dest", 1*mib), pair: newPair(1, 1*mib)}
	for _, exact := range []bool{false, true} {
		k.patch, _ = k.delta(t, crafting{exact: exact, unit: block, perSegment: 3})
		k.file = file(t, "patch", k.patch)
		for _, pipe := range []bool{false, true} {
			k.pipe = pipe
			t.Run(fmt.Sprintf("exact %v, pipe %v", exact, pipe),
				func(t *testing.T) { k.repeat(t, times(t, 9)) })
			t.Run(fmt.Sprintf("exact %v, pipe %v, undo", exact, pipe),
				func(t *testing.T) { k.goBack(t, times(t, 4)) })
		}
	}
	t.Logf("killed %d times, %d of them with the destination part-way", k.kills, k.partial)
	if k.partial < k.kills/10 {
		t.Error("that is too few to mean something")
	}
}

// A killing is a patch, where it goes, and how often runs of it were killed.
type killing struct {
	pair
	rnd   *rand.Rand
	dest  string
	patch []byte
	file  string // with the patch
	pipe  bool   // or it comes through a pipe

	kills, partial int
}

// command applies the patch.
func (k *killing) command(options ...string) (*exec.Cmd, io.Reader) {
	if k.pipe {
		return exec.Command("lvmsync-apply", append(options, k.dest)...), bytes.NewReader(k.patch)
	}
	return exec.Command("lvmsync-apply", append(options, k.file, k.dest)...), nil
}

func (k *killing) complete(t *testing.T, options ...string) {
	t.Helper()
	cmd, stdin := k.command(options...)
	runCommand(t, stdin, cmd).want(t, 0, "")
	wantSum(t, k.dest, "the new state", k.newSum)
}

// kill starts from the old state and kills the run once it has written so many bytes.
func (k *killing) kill(t *testing.T, limit int64, options ...string) (written int64, killed bool) {
	t.Helper()
	put(t, k.dest, k.old)
	cmd, stdin := k.command(options...)
	cmd.Stdin = stdin
	if written, killed = killAfter(t, cmd, limit); killed {
		k.kills++
		if !holds(t, k.dest, k.oldSum) && !holds(t, k.dest, k.newSum) {
			k.partial++
		}
	}
	return written, killed
}

// repeat kills runs and then lets each be repeated.
func (k *killing) repeat(t *testing.T, n int) {
	all, _ := k.kill(t, 1<<62)
	wantSum(t, k.dest, "the new state", k.newSum)
	for n > 0 {
		limit := k.rnd.Int64N(all)
		if _, killed := k.kill(t, limit); !killed {
			continue // it was quicker
		}
		n--
		t.Logf("killed after %d bytes", limit)
		k.complete(t)
	}
}

// goBack kills runs that have an undo patch. Each is then repeated, with another undo patch. That
// leads back to where the first run was killed, and its own to the old state.
func (k *killing) goBack(t *testing.T, n int) {
	all, _ := k.kill(t, 1<<62, "--undo", filepath.Join(t.TempDir(), "undo"))
	wantSum(t, k.dest, "the new state", k.newSum)
	for n > 0 {
		limit := k.rnd.Int64N(all)
		first, second := filepath.Join(t.TempDir(), "undo"), filepath.Join(t.TempDir(), "undo")
		if _, killed := k.kill(t, limit, "--undo", first); !killed {
			continue
		}
		n--
		t.Logf("killed after %d bytes", limit)
		half := sha256.Sum256(whole(t, k.dest))
		k.complete(t, "--undo", second)
		// else all was done, and nothing is left to take back
		if _, err := os.Stat(second); err == nil {
			run(t, nil, "lvmsync-apply", second, k.dest).want(t, 0, "")
		}
		wantSum(t, k.dest, "what the run that was killed had left", half)
		undo(t, first, k.dest)
		wantSum(t, k.dest, "the old state", k.oldSum)
	}
}

// undo applies an undo patch that a run which was broken off has left. If it was broken off early
// there is none, or not all of its header.
func undo(t *testing.T, patch, dest string) {
	t.Helper()
	if _, err := os.Stat(patch); os.IsNotExist(err) {
		return
	}
	if r := run(t, nil, "lvmsync-apply", patch, dest); r.status != 4 {
		r.want(t, 0, "")
	}
}

var wchar = regexp.MustCompile(`(?m)^wchar: (\d+)$`)

// killAfter runs a command and kills it once it has written at least limit bytes. It tells how many
// they were at the last look, and whether it was not too late.
func killAfter(t *testing.T, cmd *exec.Cmd, limit int64) (written int64, killed bool) {
	t.Helper()
	r := start(t, cmd)
	counters := fmt.Sprintf("/proc/%d/io", cmd.Process.Pid)
	for {
		select {
		case <-r.ended:
			return written, cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
		default:
		}
		text, _ := os.ReadFile(counters) // it may have ended just now
		if m := wchar.FindSubmatch(text); m != nil {
			n, err := strconv.ParseInt(string(m[1]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			written = max(written, n)
		}
		if written >= limit {
			cmd.Process.Kill()
			r.Wait()
		}
	}
}
