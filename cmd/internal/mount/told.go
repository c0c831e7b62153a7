package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/archive"
	"lvmsync/format/volume"
)

// maxTold is how many warnings there are of what can't be read: who reads a whole file that is
// damaged all over shall not fill a disk with them.
const maxTold = 100

// told tells of what can't be read, of each thing once.
type told struct {
	warn func(string)

	mu   sync.Mutex
	keys map[string]bool
}

func (t *told) once(key, message string) {
	t.mu.Lock()
	n := len(t.keys)
	known := t.keys[key] || n > maxTold
	if !known {
		t.keys[key] = true
	}
	t.mu.Unlock()
	switch {
	case known:
	case n == maxTold:
		t.warn(fmt.Sprintf("%d warnings of what can't be read: no more are given", maxTold))
	default:
		t.warn(message)
	}
}

// unreadable tells of a read of a file that has failed: of each damaged segment once, of what was
// lost once for each patch of a state, and once of what is beneath.
func (t *told) unreadable(c *content, err error) {
	var damaged *volume.SegmentError
	var lost *volume.LostError
	switch {
	case errors.As(err, &damaged):
		text := err.Error()
		if e, ok := c.segment(damaged); ok {
			text += fmt.Sprintf("; what it has of bytes [%d, %d) of the volume can't be read",
				e.Start, e.End)
		}
		t.once(fmt.Sprint("segment ", damaged.Segment, " ", damaged.Patch), text)
	case errors.As(err, &lost):
		t.once("lost "+c.name+" "+lost.Patch, fmt.Sprintf("%s: %v; this and what else it has lost "+
			"can't be read, --accept-lost-sectors shows zeros there", c.name, err))
	default:
		t.once("beneath", fmt.Sprintf("%s: %v", c.name, err))
	}
}

// segment is the entry in the index of a segment that can't be read.
func (c *content) segment(e *volume.SegmentError) (format.IndexEntry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.opened {
		if o.file.Name() == e.Patch && e.Segment < len(o.patch.Index()) {
			return o.patch.Index()[e.Segment], true
		}
	}
	return format.IndexEntry{}, false
}

// anew is what to do if other patches are there than when it was mounted.
const anew = "; mount the archive anew to see what it holds now"

// unopenable tells of a file that could not be opened, and gives the number for that.
func (t *told) unopenable(c *content, err error) syscall.Errno {
	text := fmt.Sprintf("%s can't be opened: %v", c.name, err)
	number := unix.EIO
	switch {
	case errors.Is(err, archive.ErrReplaced):
		text += anew
	case errors.Is(err, fs.ErrNotExist):
		number = unix.ENOENT
		text += anew
	case errors.Is(err, unix.EMFILE):
		number = unix.EMFILE
		text += fmt.Sprintf("; the state takes %d patches: raise the limit of open files "+
			"(ulimit -n), or merge some", len(c.Chain()))
	default:
		_ = errors.As(err, &number)
	}
	t.once("open "+c.name+" "+number.Error(), text)
	return number
}

// panicked tells of a request that a fault of this program has ended, of each place once. Whoever
// waits for the answer gets an error of reading; all others go on.
func (t *told) panicked(reason any) fuse.Status {
	place := faultPlace()
	t.once("panic "+place, fmt.Sprintf("a fault of this program, please report it: %v, in %s: "+
		"what was asked for can't be read", reason, place))
	return fuse.EIO
}

// faultPlace is where the panic was that is being recovered from.
func faultPlace() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers)])
	for inPanic := false; ; {
		frame, more := frames.Next()
		switch {
		case frame.Function == "runtime.gopanic":
			inPanic = true
		case inPanic && !strings.HasPrefix(frame.Function, "runtime."), !more:
			return fmt.Sprintf("%s, line %d", frame.Function, frame.Line)
		}
	}
}
