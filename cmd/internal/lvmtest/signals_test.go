//go:build lvm

package lvmtest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// newSignalled makes a thin volume with a snapshot, and a copy of that.
func newSignalled(t *testing.T, vg string) (origin, dest string) {
	t.Helper()
	newPool(t, vg, "64k", "32m")
	return fillSignalled(t, vg)
}

func fillSignalled(t *testing.T, vg string) (origin, dest string) {
	t.Helper()
	origin = newThin(t, vg, "origin", 4*mib)
	change(t, origin, 1, 20, 0)
	thinSnapshot(t, vg, "origin", "snap")
	dest = plain(t, vg, "dest", 4*mib)
	transfer(t, dest, "--full", vg+"/snap")
	change(t, origin, 2, 20, 2)
	return origin, dest
}

func isActive(t *testing.T, lv string) bool {
	t.Helper()
	return strings.TrimSpace(sh(t, "lvs", "--noheadings", "-o", "lv_active", lv)) == "active"
}

// A signal at the very moment at which a command changes something leaves nothing of that behind,
// or, after kill -9, nothing that the next run doesn't mend.
func TestSignalDuringChange(t *testing.T) {
	origin, dest := newSignalled(t, "during")
	script := map[string]string{"before": `stop`, "after": `"$real" "$@"; r=$?; stop; exit $r`}
	all := []blow{terminal, {syscall.SIGINT, false}, {syscall.SIGTERM, false},
		{syscall.SIGHUP, false}, {syscall.SIGKILL, false}, kill}
	some := []blow{terminal, kill}
	for _, c := range []struct {
		tool, word, when string
		blows            []blow
	}{
		{"dmsetup", "reserve_metadata_snap", "after", all},
		{"dmsetup", "reserve_metadata_snap", "before", some},
		{"dmsetup", "release_metadata_snap", "after", some},
		{"dmsetup", "release_metadata_snap", "before", some},
		{"lvchange", "-ay", "after", all},
		{"lvchange", "-ay", "before", some},
		{"lvchange", "-an", "after", some},
		{"lvchange", "-an", "before", some},
	} {
		for _, b := range c.blows {
			t.Run(fmt.Sprintf("%s %s, %v", c.when, c.word, b), func(t *testing.T) {
				g := newGate(t, c.tool, c.word, script[c.when])
				cmd, stderr := g.start(t, "lvmsync-dump", "during/snap")
				g.struck(t, cmd, b)
				t.Logf("status %d\n%s", cmd.ProcessState.ExitCode(), stderr)
				if b.signal == syscall.SIGKILL {
					transfer(t, dest, "during/snap")
					wantSame(t, origin, dest)
				} else if status := cmd.ProcessState.ExitCode(); status != 1 && c.word != "-an" {
					t.Errorf("status %d, want 1", status)
				}
				wantNothingHeld(t, "during")
				if isActive(t, "during/snap") {
					t.Error("the snapshot was left active")
					sh(t, "lvchange", "-an", "during/snap")
				}
			})
		}
	}
}

// lockOf is the file of the lock of a pool.
func lockOf(t *testing.T, vg string) string {
	t.Helper()
	return "/run/lvmsync/" + strings.TrimSpace(sh(t, "dmsetup", "info", "-c", "--noheadings", "-o",
		"uuid", vg+"-pool-tpool")) + ".lock"
}

// A run that was killed before it could reserve anything gives the next one no right to what
// somebody else has reserved since, nor does one that was killed with all who could tell.
func TestKilledBeforeOthersReserve(t *testing.T) {
	_, dest := newSignalled(t, "before")
	reserve := func() {
		sh(t, "dmsetup", "message", "before-pool-tpool", "0",
			"reserve_metadata_snap")
	}
	release := func() {
		sh(t, "dmsetup", "message", "before-pool-tpool", "0",
			"release_metadata_snap")
	}
	refused := func(message string) {
		t.Helper()
		held := heldRoot(t, "before")
		run(t, nil, "lvmsync-dump", "before/snap").want(t, 1, message)
		if now := heldRoot(t, "before"); now != held || held == "-" {
			t.Errorf("held before: %s, now: %s", held, now)
		}
	}

	g := newGate(t, "dmsetup", "reserve_metadata_snap", "stop; exit 1")
	cmd, _ := g.start(t, "lvmsync-dump", "before/snap")
	kill.strike(t, cmd)
	cmd.Wait()
	g.open(t)
	sh(t, "flock", lockOf(t, "before"), "true") // until it is noted that nothing came of it
	reserve()
	refused("held by another program")
	release()

	// dmsetup says that it failed: somebody else was quicker.
	g = newGate(t, "dmsetup", "reserve_metadata_snap", `stop; "$real" "$@"; "$real" "$@"; exit`)
	cmd, _ = g.start(t, "lvmsync-dump", "before/snap")
	kill.strike(t, cmd)
	cmd.Wait()
	g.open(t)
	sh(t, "flock", lockOf(t, "before"), "true")
	refused("held by another program")
	release()

	// Its witness is killed with it.
	g = newGate(t, "dmsetup", "reserve_metadata_snap", `"$real" "$@"; stop; exit 0`)
	cmd, _ = g.start(t, "lvmsync-dump", "before/snap")
	for _, child := range children(t, cmd.Process.Pid) {
		if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); bytes.HasPrefix(text,
			[]byte("lvmsync-witness\x00")) {
			syscall.Kill(child, syscall.SIGKILL)
		}
	}
	kill.strike(t, cmd)
	cmd.Wait()
	g.open(t)
	sh(t, "flock", lockOf(t, "before"), "true")
	refused("left behind by a run of this one that was killed, which can't be told")
	release()
	transfer(t, dest, "before/snap")
}

// The same with the kernel at work: every write to the pool's metadata takes a while.
func TestSignalDuringSlowMetadata(t *testing.T) {
	origin, dest := newSignalled(t, "slow")
	reloadDevice(t, "slow-pool_tmeta", func(table string) string {
		f := strings.Fields(table) // start, length, linear, device, offset
		return fmt.Sprintf("%s %s delay %s %s 0 %s %s 400", f[0], f[1], f[3], f[4], f[3], f[4])
	})
	for _, word := range []string{"reserve_metadata_snap", "release_metadata_snap"} {
		for _, b := range []blow{terminal, {syscall.SIGTERM, false}, kill} {
			t.Run(fmt.Sprintf("%s, %v", word, b), func(t *testing.T) {
				g := newGate(t, "dmsetup", word, `echo $$ >"$d/begun"; exec "$real" "$@"`)
				cmd, stderr := g.start(t, "lvmsync-dump", "slow/snap")
				b.strike(t, cmd)
				cmd.Wait()
				t.Logf("status %d\n%s", cmd.ProcessState.ExitCode(), stderr)
				if b.signal == syscall.SIGKILL {
					transfer(t, dest, "slow/snap")
					wantSame(t, origin, dest)
				} else if status := cmd.ProcessState.ExitCode(); status != 1 {
					t.Errorf("status %d, want 1", status)
				}
				wantNothingHeld(t, "slow")
			})
		}
	}
}

// A command that doesn't end is named when the user wants to, and not waited for when the user
// insists. What it then does after all, the next run undoes.
func TestThirdSignalDuringChange(t *testing.T) {
	origin, dest := newSignalled(t, "second")
	for _, c := range []struct{ tool, word string }{{"lvchange", "-ay"}, {"lvchange", "-an"},
		{"dmsetup", "reserve_metadata_snap"}} {
		t.Run(c.word, func(t *testing.T) {
			g := newGate(t, c.tool, c.word, `stop; exec "$real" "$@"`)
			r, w := newPipe(t)
			dump := withPath(g.bin, "lvmsync-dump", "second/snap")
			dump.Stderr = w
			cmd := start(t, dump)
			w.Close()
			g.await(t, cmd)
			blow{syscall.SIGINT, false}.strike(t, cmd)
			lines := bufio.NewScanner(r)
			// it may wait for another dump before
			for lines.Scan() && !(strings.Contains(lines.Text(), "waiting for") &&
				strings.Contains(lines.Text(), c.word)) {
			}
			if lines.Text() == "" {
				t.Errorf("%s is not waited for", c.word)
			}
			go func() {
				for cmd.Process.Signal(syscall.SIGINT) == nil { // until it has ended
					runtime.Gosched()
				}
			}()
			cmd.Wait()
			if s := cmd.ProcessState.Sys().(syscall.WaitStatus); !s.Signaled() ||
				s.Signal() != syscall.SIGINT {
				t.Errorf("ended with %v, want death by SIGINT", cmd.ProcessState)
			}
			g.open(t)
			g.gone(t)
			transfer(t, dest, "second/snap")
			wantSame(t, origin, dest)
			wantNothingHeld(t, "second")
			if isActive(t, "second/snap") {
				t.Error("the snapshot was left active")
			}
		})
	}
}
