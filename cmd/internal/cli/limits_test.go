package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Under limits that would end a run in its midst none begins.
func TestLimits(t *testing.T) {
	proc := t.TempDir()
	for pid, text := range map[string]string{
		"1":    "Name:\tinit\nUid:\t0\t0\t0\t0\nThreads:\t1\n",
		"20":   "Name:\tsh\nUid:\t1000\t1000\t1000\t1000\nThreads:\t1\n",
		"21":   "Name:\tbrowser\nUid:\t1000\t0\t0\t0\nThreads:\t70\n",
		"22":   "Name:\tother\nUid:\t1001\t1001\t1001\t1001\nThreads:\t500\n",
		"self": "Name:\tsh\nUid:\t1000\t1000\t1000\t1000\nThreads:\t9\n",
	} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "status"), []byte(text),
			0o644); err != nil {
			t.Fatal(err)
		}
	}
	threads := uint64(71 + minThreads + runtime.GOMAXPROCS(0))
	for _, test := range []struct {
		resource int
		limit    uint64
		uid      int
		want     string
	}{
		{unix.RLIMIT_AS, 4 << 30, 1000, ""},
		{unix.RLIMIT_AS, 4<<30 - 1, 0, "the address space is limited to 4.0 GiB"},
		{unix.RLIMIT_AS, 1500 << 20, 0, "the address space is limited to 1.5 GiB, too little to " +
			"be sure to come to an end: raise it to 4.0 GiB or more (ulimit -v)"},
		{unix.RLIMIT_DATA, 100 << 20, 0, "memory is limited to 100 MiB"},
		{unix.RLIMIT_NOFILE, 63, 0, "the number of open files is limited to 63, too little to be " +
			"sure to come to an end: raise it to 64 or more (ulimit -n)"},
		{unix.RLIMIT_NOFILE, 64, 0, ""},
		{unix.RLIMIT_NPROC, threads, 1000, ""},
		{unix.RLIMIT_NPROC, threads - 1, 1000,
			fmt.Sprintf("processes and threads of this user are limited to %d, and 71 are there: "+
				"raise it to %d or more (ulimit -u)", threads-1, threads)},
		{unix.RLIMIT_NPROC, 1, 0, ""}, // root has none
	} {
		err := limitsOf{uid: test.uid, proc: proc, resource: func(resource int) uint64 {
			if resource == test.resource {
				return test.limit
			}
			return unix.RLIM_INFINITY
		}}.check()
		if got := fmt.Sprint(err); err == nil && test.want != "" || err != nil &&
			(test.want == "" || !strings.HasPrefix(got, test.want)) {
			t.Errorf("%d, limit %d, user %d: %v, want %q", test.resource, test.limit, test.uid, err,
				test.want)
		}
	}
}
