package storage

import "slices"

// MayBeWritten tells whether somebody else uses the device or file, or anything stacked on it, in a
// way that lets them write to it, or whether that can't be told. See [Users].
func MayBeWritten(id ID) bool {
	usage, err := Users(id)
	return err != nil || slices.ContainsFunc(usage.Users, func(u User) bool { return !u.ReadOnly })
}
