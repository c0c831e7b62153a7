package dump

import "lvmsync/dump/blockdev"

// An Input is a device or file that a source reads: for the data, the base, the sample of what has
// not changed, or the list of changes.
type Input struct {
	*blockdev.File
	// What says in a message what it is: "the origin".
	What string
	// Still is true for what a patch takes for something that stands still: a snapshot, a store.
	Still bool
}

// Inputs are all that a source reads. Each is flushed before a list of changes is read, whichever
// of them the data come from, and who uses it is reported.
type Inputs []Input

// Flush writes down what is in memory above each of them, in their order: an origin comes before
// its snapshots, which that may write to. A list that is read afterwards has all that was written
// before the call.
func (in Inputs) Flush() error {
	for _, i := range in {
		if err := i.File.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// Paths are the names that they were opened by.
func (in Inputs) Paths() []string {
	var paths []string
	for _, i := range in {
		paths = append(paths, i.Name())
	}
	return paths
}
