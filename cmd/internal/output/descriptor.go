package output

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// descriptor tells whether a name stands for an open file of this program, as /dev/stdout and
// /dev/fd/1 do, and for which one.
func descriptor(path string) (fd int, ok bool) {
	own := fmt.Sprintf("/proc/%d/", os.Getpid())
	for range 40 { // links that lead to one another, as the kernel has it
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return 0, false
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return 0, false
		}
		if strings.HasPrefix(dir, own) && filepath.Base(dir) == "fd" {
			fd, err := strconv.Atoi(filepath.Base(path))
			return fd, err == nil
		}
		next, err := os.Readlink(filepath.Join(dir, filepath.Base(path)))
		if err != nil {
			return 0, false
		}
		if path = next; !filepath.IsAbs(next) {
			path = dir + "/" + next
		}
	}
	return 0, false
}
