package applycmd

import (
	"fmt"
	"os"

	"lvmsync/apply"
	"lvmsync/format"
	"lvmsync/format/storage"
)

// system answers package apply's questions about the destination with what the
// dumping side knows of devices.
type system struct{}

func (system) Users(path string) ([]apply.User, int, error) {
	id, err := storage.Identify(path)
	if err != nil {
		return nil, 0, err
	}
	usage, err := storage.UsersAndClaims(id)
	if err != nil {
		return nil, 0, err
	}
	var users []apply.User
	for _, u := range usage.Users {
		writes := !u.ReadOnly || u.Kind == storage.Mounted || u.Kind == storage.Locked
		users = append(users, apply.User{Text: u.String(), Writes: writes})
	}
	return users, usage.Unseen, nil
}

func (system) Describe(path string) (format.Source, error) {
	id, err := storage.Identify(path)
	if err != nil {
		return format.Source{}, err
	}
	return storage.Describe(path, id), nil
}

func (system) Shares(path string, source format.Source, uuids []string) (bool, error) {
	id, err := storage.Identify(path)
	if err != nil {
		return false, err
	}
	return storage.SharesWith(id, source, uuids...)
}

func (system) Backing(path string, warn func(string)) ([]apply.BackingFile, error) {
	opened, missing, err := storage.OpenBacking(path)
	for _, file := range missing {
		warn(fmt.Sprintf("the file behind %s can't be locked: %s", path, file))
	}
	var files []apply.BackingFile
	for _, f := range opened {
		files = append(files, apply.BackingFile(f))
	}
	return files, err
}

func (system) LiesOn(path, device string) (bool, error) {
	id, err := storage.Identify(device)
	if err != nil {
		return false, err
	}
	return storage.LiesOn(path, id)
}

func (system) DropCache(device *os.File) { storage.DropCache(device) }

// Thin asks the kernel, for a destination needs no dmsetup.
func (system) Thin(path string) ([]apply.ThinPart, error) {
	id, err := storage.Identify(path)
	if err != nil || !id.Device {
		return nil, err
	}
	found, err := storage.ThinParts(id.DevNum)
	var parts []apply.ThinPart
	for _, p := range found {
		parts = append(parts, apply.ThinPart(p))
	}
	return parts, err
}
