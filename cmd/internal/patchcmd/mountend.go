package patchcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/mount"
)

// retry is how often it is tried to unmount what is in use.
const retry = 500 * time.Millisecond

// shownUsers is how many users of a mount are named.
const shownUsers = 5

// end waits until it is unmounted. The first signal does that, once nobody uses it; the second
// detaches it, so that only those go on who have files open; the third leaves these in the lurch.
func end(
	ctx context.Context, inv *cli.Invocation, m *mount.Mount, point string, again <-chan os.Signal,
) error {
	select {
	case <-m.Done():
		return nil
	case <-ctx.Done():
	}
	err := m.Unmount()
	select {
	case <-again: // it was the same signal
	default:
	}
	if errors.Is(err, mount.ErrBusy) {
		inv.Warn(fmt.Sprintf("%s is in use%s: it is unmounted as soon as nobody uses it; "+
			"interrupt again to detach it at once, for all but them", point, users(m)))
	} else if err != nil { // to end would cut off who uses it
		inv.Warn(fmt.Sprintf("unmount %s: %v: it is tried again; interrupt again to detach it", point,
			err))
	}
	signals := 1
	tick := time.NewTicker(retry)
	defer tick.Stop()
	for {
		select {
		case <-m.Done():
			return nil
		case <-tick.C:
			if signals == 1 {
				_ = m.Unmount() // the next time
			}
		case <-again:
			if signals++; signals > 2 {
				return fmt.Errorf("unmount %s: %w%s, and can't be read any more", point,
					mount.ErrBusy, users(m))
			}
			if err := m.Detach(); err != nil && !errors.Is(err, mount.ErrBusy) {
				inv.Warn(fmt.Sprintf("detach %s: %v; interrupt once more to end all the same", point,
					err))
				continue
			}
			inv.Warn(fmt.Sprintf("%s is detached: who still has files of it open can read them; "+
				"interrupt once more to end all the same", point))
		}
	}
}

// users names who uses a mount.
func users(m *mount.Mount) string {
	all := m.Users()
	if len(all) == 0 {
		return ""
	}
	more := ""
	if n := len(all) - shownUsers; n > 0 {
		all, more = all[:shownUsers], fmt.Sprintf(" and %d more", n)
	}
	return " by " + strings.Join(all, ", ") + more
}
