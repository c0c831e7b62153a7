package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The recipe stop-machine ends when the machine is off, not before, and says so if it never is.
// libvirt and the time are played by scripts.
func TestRecipeStopMachine(t *testing.T) {
	tests := []struct {
		name   string
		states string // what domstate says, the last one for ever
		status int
		calls  string // of shutdown and sleep
	}{
		{"obeys", "running,in shutdown,in shutdown,shut off", 0, "shutdown sleep sleep"},
		{"is off already", "shut off", 0, ""},
		{"does not obey", "running", 1, "shutdown sleep sleep sleep sleep sleep"},
		{"is unknown", "", 1, "shutdown sleep sleep sleep sleep sleep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			script := func(name, text string) {
				if err := os.WriteFile(filepath.Join(dir, name),
					[]byte("#!/bin/bash\ncd "+dir+"\n"+text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			script("sleep", "echo sleep >>calls\n")
			script("virsh", `[ "$2" = "my machine" ] || exit 9
[ "$1" = domstate ] || { echo "$1" >>calls; exit 0; }
IFS=, read -ra states <states || exit 1
echo "${states[0]}"
[ ${#states[@]} = 1 ] || (IFS=,; echo "${states[*]:1}" >states)
`)
			if err := os.WriteFile(filepath.Join(dir, "states"),
				[]byte(strings.TrimLeft(tt.states+"\n", "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("../../../docs/recipes/stop-machine", "my machine", "5")
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d: %s", got, tt.status, out)
			}
			calls, _ := os.ReadFile(filepath.Join(dir, "calls"))
			if got := strings.Join(strings.Fields(string(calls)), " "); got != tt.calls {
				t.Errorf("calls: %s, want %s", got, tt.calls)
			}
		})
	}
}

// A recipe without its arguments says how it is called, and does nothing.
func TestRecipeUsage(t *testing.T) {
	recipes, err := filepath.Glob("../../../docs/recipes/[a-z]*")
	if err != nil || len(recipes) < 14 {
		t.Fatal(recipes, err)
	}
	for _, path := range recipes {
		name := filepath.Base(path)
		args := map[string][]string{"on-disk": {"UUID=x"}, "on-remote": {"store:"}}[name]
		status, messages := run(t, nil, path, args...)
		if status != 2 || !strings.HasPrefix(messages, name+" ") ||
			strings.Contains(messages, "set -") {
			t.Errorf("%s: status %d: %s", name, status, messages)
		}
	}
}
