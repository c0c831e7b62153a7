package applycmd

import (
	"context"
	"fmt"
	"os"

	"lvmsync/apply"
	"lvmsync/dump"
	"lvmsync/dump/blockdev"
	"lvmsync/dump/devmapper"
	"lvmsync/format"
)

// system answers package apply's questions about the destination with what the
// dumping side knows of devices.
type system struct{}

func (system) Users(path string) ([]apply.User, int, error) {
	id, err := blockdev.Identify(path)
	if err != nil {
		return nil, 0, err
	}
	usage, err := blockdev.Users(id)
	if err != nil {
		return nil, 0, err
	}
	var users []apply.User
	for _, u := range usage.Users {
		users = append(users, apply.User{Text: u.String(), Writes: !u.ReadOnly})
	}
	return users, usage.Unseen, nil
}

func (system) Describe(path string) (format.Source, error) {
	id, err := blockdev.Identify(path)
	if err != nil {
		return format.Source{}, err
	}
	return dump.Describe(path, id), nil
}

func (system) Shares(path string, source format.Source, uuids []string) (bool, error) {
	id, err := blockdev.Identify(path)
	if err != nil {
		return false, err
	}
	return dump.SharesStorage(id, source, uuids...)
}

func (system) Backing(path string, warn func(string)) ([]apply.BackingFile, error) {
	id, err := blockdev.Identify(path)
	if err != nil {
		return nil, err
	}
	opened, missing, err := blockdev.OpenBacking(id)
	for _, file := range missing {
		warn(fmt.Sprintf("the file behind %s can't be locked: %s", path, file))
	}
	var files []apply.BackingFile
	for _, f := range opened {
		files = append(files, apply.BackingFile(f))
	}
	return files, err
}

func (system) DropCache(device *os.File) { blockdev.DropCache(device) }

// IsThin asks dmsetup. Where that is missing, nothing is known to be thin: it
// then gets zeros written, which is right, too.
func (system) IsThin(path string) bool {
	id, err := blockdev.Identify(path)
	if err != nil {
		return false
	}
	table, err := devmapper.TableOf(context.Background(), id.Major, id.Minor)
	return err == nil && len(table) == 1 && table[0].Type == "thin"
}
