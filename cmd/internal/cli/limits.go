package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a run may need. Under a limit that is lower it could end anywhere, in the midst of writing a
// destination, without a word that anybody understands: where the runtime gets no memory or thread,
// it ends the program.
const (
	minAddressSpace = 4 << 30   // bytes; most of it is reserved, and never used
	minData         = 512 << 20 // bytes
	minFiles        = 64
	minThreads      = 32 // besides one for each processor
)

// checkLimits refuses to begin under limits (see ulimit) that are too low to end.
func checkLimits() error {
	return limitsOf{resource: func(resource int) uint64 {
		var limit unix.Rlimit
		if err := unix.Getrlimit(resource, &limit); err != nil {
			return unix.RLIM_INFINITY
		}
		return limit.Cur
	}, uid: os.Getuid(), proc: "/proc"}.check()
}

// limitsOf is what a user is limited to.
type limitsOf struct {
	resource func(resource int) uint64
	uid      int
	proc     string // where the processes are to be seen
}

func (u limitsOf) check() error {
	for _, l := range []struct {
		resource int
		what     string
		least    uint64
		option   string
	}{
		{unix.RLIMIT_AS, "the address space", minAddressSpace, "-v"},
		{unix.RLIMIT_DATA, "memory", minData, "-d"},
		{unix.RLIMIT_NOFILE, "the number of open files", minFiles, "-n"},
	} {
		limit := u.resource(l.resource)
		if limit >= l.least {
			continue
		}
		is, least := strconv.FormatUint(limit, 10), strconv.FormatUint(l.least, 10)
		if l.resource != unix.RLIMIT_NOFILE {
			is, least = Bytes(int64(limit)), Bytes(int64(l.least))
		}
		return fmt.Errorf("%s is limited to %s, too little to be sure to come to an end: raise "+
			"it to %s or more (ulimit %s)", l.what, is, least, l.option)
	}
	return u.checkThreads()
}

// checkThreads does so for the limit of processes and threads of a user, which root has not.
func (u limitsOf) checkThreads() error {
	limit := u.resource(unix.RLIMIT_NPROC)
	if limit == unix.RLIM_INFINITY || u.uid == 0 {
		return nil
	}
	used, least := threadsOf(u.uid, u.proc), uint64(minThreads+runtime.GOMAXPROCS(0))
	if used+least <= limit {
		return nil
	}
	return fmt.Errorf("processes and threads of this user are limited to %d, and %d are there: "+
		"raise it to %d or more (ulimit -u)",
		limit, used, used+least)
}

// threadsOf counts the threads of a user, as far as they can be seen.
func threadsOf(uid int, proc string) (n uint64) {
	// fails for a bad pattern only
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "status"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		own, threads := false, uint64(0)
		for line := range strings.Lines(string(text)) {
			switch f := strings.Fields(line); {
			case len(f) > 1 && f[0] == "Uid:":
				own = f[1] == strconv.Itoa(uid)
			case len(f) > 1 && f[0] == "Threads:":
				threads, _ = strconv.ParseUint(f[1], 10, 64)
			}
		}
		if own {
			n += threads
		}
	}
	return n
}
