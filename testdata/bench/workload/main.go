// Workload makes what "make bench" measures with, and does what the programs are
// measured against: reading and writing the same bytes and nothing else.
//
//	workload make FOLDER BYTES PART...      images, COW stores and lists of extents: see parts
//	workload generation NUMBER IMAGE        changes 1% of an image, differently for each number
//	workload differ OLD NEW EXTENTS DATA    the extents that differ, and what they hold in NEW
//	workload copy EXTENTS FROM TO           the extents of a file to the same places of another
//	workload spoil EXTENTS FILE             inverts what the extents hold
//	workload read FILE...                   all of each file, all at the same time
//	workload compare OLD NEW                both files, and nothing is made of what differs
//	workload pread [--direct] EXTENTS FILE  the extents of a file
//	workload pwrite [--direct] EXTENTS DATA FILE
//	                                        the extents of a file, from data side by side,
//	                                        with fdatasync
//
// With --direct, past the page cache.
package main

import (
	"errors"
	"log"
	"os"
	"strconv"
	"syscall"
)

const block = 4096

type extent struct{ off, len int64 }

func main() {
	log.SetFlags(0)
	if err := do(os.Args[1:]); err != nil {
		log.Fatal("workload: ", err)
	}
}

func do(args []string) error {
	var mode string
	if len(args) > 0 {
		mode, args = args[0], args[1:]
	}
	direct := 0
	if len(args) > 0 && args[0] == "--direct" && (mode == "pread" || mode == "pwrite") {
		direct, args = syscall.O_DIRECT, args[1:]
	}
	switch {
	case mode == "make" && len(args) > 2:
		size, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		return makeParts(args[0], size, args[2:])
	case mode == "generation" && len(args) == 2:
		return generation(args[0], args[1])
	case mode == "differ" && len(args) == 4:
		return differ(args[0], args[1], args[2], args[3])
	case mode == "copy" && len(args) == 3:
		return copyExtents(args[0], args[1], args[2])
	case mode == "spoil" && len(args) == 2:
		return spoil(args[0], args[1])
	case mode == "read" && len(args) > 0:
		return readAll(args)
	case mode == "compare" && len(args) == 2:
		return compare([2]string(args))
	case mode == "pread" && len(args) == 2:
		return pread(args[0], args[1], direct)
	case mode == "pwrite" && len(args) == 3:
		return pwrite(args[0], args[1], args[2], direct)
	}
	return errors.New("usage: see main.go")
}
