package thin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockDir is where the locks are. What is in it is gone after a restart, as is what held them.
var lockDir = "/run/lvmsync"

// lockPause is how long to wait before a lock is tried again.
const lockPause = 50 * time.Millisecond

// A record says which metadata snapshot a run has reserved, so that one that was killed can be told from somebody else's. It is
// empty while none is.
type record struct {
	Block uint64 // of the metadata
	Sum   uint64 // xxh64 of what is in it
}

// A lock keeps two runs from reserving the metadata snapshot of one pool at once.
type lock struct {
	f      *os.File
	record record // what the run before left behind
}

// lockPool waits until no other run has the pool's lock. They hold it for the time it takes to read the metadata.
func lockPool(ctx context.Context, uuid string) (*lock, error) {
	if err := os.MkdirAll(lockDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for locks: %w", err)
	}
	name := filepath.Join(lockDir, strings.ReplaceAll(uuid, "/", "_")+".lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the pool's lock: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("take the pool's lock %s: %w", name, err)
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
	l := &lock{f: f}
	if text, err := io.ReadAll(io.LimitReader(f, 4096)); err == nil {
		_ = json.Unmarshal(text, &l.record) // what can't be read proves nothing
	}
	return l, nil
}

// note writes down what is reserved.
func (l *lock) note(r record) error {
	l.record = r
	text, err := json.Marshal(r)
	if err == nil {
		err = l.f.Truncate(0)
	}
	if err == nil {
		_, err = l.f.WriteAt(text, 0)
	}
	if err != nil {
		return fmt.Errorf("write the pool's lock: %w", err)
	}
	return nil
}

func (l *lock) close() { l.f.Close() }
