package devmapper

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoTool means that dmsetup or lvs is nowhere to be found. The message says which; Debian has
// them in the packages dmsetup and lvm2.
var ErrNoTool = errors.New("not found on the PATH, nor in /usr/sbin or /sbin")

// systemDirs are where administrators' programs are, whatever the PATH: cron's, and that of many
// users, leaves them out.
var systemDirs = []string{"/usr/sbin", "/sbin"}

// findTool finds a program.
func findTool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, exec.ErrDot) {
		return path, err
	}
	for _, dir := range systemDirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s %w", name, ErrNoTool)
}

// kept are the variables of LVM and device-mapper that say where they work, not how.
var kept = []string{"LVM_SYSTEM_DIR", "DM_DISABLE_UDEV"}

// environment is what programs are run with: nothing in it changes what they print or where, and
// they find their helpers.
func environment() []string {
	var env []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		strange := (strings.HasPrefix(name, "LVM_") || strings.HasPrefix(name, "DM_")) &&
			!slices.Contains(kept, name)
		if !strange && name != "PATH" {
			env = append(env, e)
		}
	}
	return append(env, "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1", "PATH="+searchPath())
}

// searchPath is the PATH with what it may lack.
func searchPath() string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, dir := range systemDirs {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, string(filepath.ListSeparator))
}
