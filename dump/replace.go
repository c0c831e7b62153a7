package dump

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"lvmsync/format/filelock"
	"lvmsync/format/storage"
)

// ErrOutputInUse means that another program uses the file that was to be replaced.
var ErrOutputInUse = errors.New("the file to replace is in use")

// lockOld locks the file that is to be replaced, if there is one, for as long as it is open,
// so that others see that somebody is about to; and refuses one that another program has
// locked, or may write to: what it writes would be lost with the old file.
func lockOld(path string) (*os.File, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		// Its folder says who may replace it.
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := notInUse(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func notInUse(f *os.File) error {
	if err := filelock.Take(f, true); errors.Is(err, filelock.ErrLocked) {
		return fmt.Errorf("%w: it is %w", ErrOutputInUse, err)
	}
	id, err := storage.IdentifyFile(f)
	if err != nil {
		return err
	}
	usage, err := storage.Users(id)
	if err != nil {
		return fmt.Errorf("find out who uses it: %w", err)
	}
	var users []string
	for _, u := range usage.Users {
		if !u.ReadOnly || u.Kind == storage.Mounted {
			users = append(users, u.String())
		}
	}
	if len(users) > 0 {
		return fmt.Errorf("%w: it is %s", ErrOutputInUse, strings.Join(users, "; "))
	}
	return nil
}
