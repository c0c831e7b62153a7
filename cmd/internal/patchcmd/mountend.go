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
	gone, first := m.Gone(), ctx.Done()
	var late, tick <-chan time.Time
	var more <-chan os.Signal
	try := m.Unmount
	for signals := 1; ; {
		select {
		case <-m.Done():
			return nil
		case <-gone:
			gone, late = nil, time.After(retry) // it mostly ends at once
		case <-late:
			inv.Warn(held(m, point))
		case <-tick:
			_ = try() // the next time
		case <-first:
			first, more, tick = nil, again, time.Tick(retry)
			err := m.Unmount()
			select {
			case <-again: // it was the same signal
			default:
			}
			if err != nil {
				inv.Warn(notUnmounted(m, point, err))
			}
		case <-more:
			err := m.Detach()
			if signals++; signals > 2 {
				return cutOff(m, point, err)
			}
			inv.Warn(detached(point, err))
			gone, late, try = nil, nil, m.Detach
		}
	}
}

// notUnmounted says what keeps it from being unmounted. To end now would cut off who uses it,
// whatever that is.
func notUnmounted(m *mount.Mount, point string, err error) string {
	switch {
	case errors.Is(err, mount.ErrBusy):
		return fmt.Sprintf("%s is in use%s: it is unmounted as soon as nobody uses it; "+
			"interrupt again to detach it at once, for all but them", point, users(m))
	case errors.Is(err, mount.ErrDetached):
		return held(m, point) + "; interrupt twice more to end all the same"
	}
	return fmt.Sprintf("%s can't be unmounted: %v; it is tried again until that is done; "+
		"interrupt again to detach it, for all but who uses it", point, err)
}

// held says what keeps it when it has been unmounted.
func held(m *mount.Mount, point string) string {
	by := users(m)
	if by == "" {
		by = " by files of it that are open, or by the mount namespace of a container or service " +
			"that began while it was mounted"
	}
	return fmt.Sprintf("%s is unmounted, but still in use%s: who uses it can go on, and with that "+
		"it ends", point, by)
}

// detached says whether it is.
func detached(point string, err error) string {
	what := "is detached: who still has files of it open can read them"
	if err != nil {
		what = fmt.Sprintf("can't be detached: %v; it is tried again until that is done", err)
	}
	return fmt.Sprintf("%s %s; interrupt once more to end all the same", point, what)
}

// cutOff is the error of ending while it is used; err is that of detaching it.
func cutOff(m *mount.Mount, point string, err error) error {
	if err != nil {
		return fmt.Errorf("%s can't be detached: %w; so %w", point, err, mount.ErrStale)
	}
	return fmt.Errorf("unmount %s: %w%s, and can't be read any more", point, mount.ErrBusy, users(m))
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
