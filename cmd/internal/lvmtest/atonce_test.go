//go:build lvm

package lvmtest

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// Dumps of one inactive snapshot, all at once, know nothing of one another, and leave it inactive.
func TestManyDumpsOfOne(t *testing.T) {
	origin, dest := newSignalled(t, "many")
	type dump struct {
		cmd            *running
		stdout, stderr bytes.Buffer
	}
	for range 3 {
		dumps := make([]dump, 5)
		for i := range dumps {
			d := &dumps[i]
			cmd := exec.Command("lvmsync-dump",
				[][]string{{"many/snap"}, {"--full", "many/snap"},
					{"--reverse", "many/snap"}}[i%3]...)
			cmd.Stdout, cmd.Stderr = &d.stdout, &d.stderr
			d.cmd = start(t, cmd)
		}
		for i := range dumps {
			d := &dumps[i]
			said := func() string { // that it waits is no news of the others' harm
				var rest []string
				for line := range strings.Lines(d.stderr.String()) {
					if strings.Contains(line, "warning: ") &&
						!strings.Contains(line, "waiting for another dump") &&
						!strings.Contains(line, "forgotten after a restart") {
						// as where the test runs in memory
						rest = append(rest, line)
					}
				}
				return strings.Join(rest, "")
			}
			if err := d.cmd.Wait(); err != nil || said() != "" {
				t.Errorf("%v: %v\n%s", d.cmd.Args, err, d.stderr.String())
			}
		}
		if isActive(t, "many/snap") {
			t.Error("the snapshot was left active")
		}
		for _, i := range []int{1, 0} {
			run(t, strings.NewReader(dumps[i].stdout.String()), "lvmsync-apply", dest).want(t, 0,
				"")
		}
		wantSame(t, origin, dest)
	}
}
