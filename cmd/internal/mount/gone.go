package mount

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Gone is closed once it is not mounted any more where this program sees it, be that by Unmount,
// Detach or somebody else. Done comes at once then, unless something holds it, as Users tells.
func (m *Mount) Gone() <-chan struct{} { return m.gone }

// watch waits until it is gone, or done. If that can't be seen, it is never gone.
func (m *Mount) watch() {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	go func() {
		<-m.done
		w.Close()
	}()
	for {
		places, err := m.places()
		if err == nil && len(places) == 0 {
			close(m.gone)
			return
		}
		// the kernel tells of each change since the last time
		wait := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI},
			{Fd: int32(r.Fd()), Events: unix.POLLIN}}
		switch _, err := unix.Poll(wait, -1); {
		case errors.Is(err, unix.EINTR):
		case err != nil, wait[1].Revents != 0:
			return
		}
	}
}
