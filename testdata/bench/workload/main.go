// Workload makes what "make bench" measures with, and does what the programs are
// measured against: reading and writing the same bytes and nothing else.
//
//	workload make FOLDER BYTES          images, COW stores and lists of extents
//	workload read FILE...               all of each file, all at the same time
//	workload pread EXTENTS FILE         the extents of a file
//	workload pwrite EXTENTS DATA FILE   the extents of a file, from data side by side, with fdatasync
package main

import (
	"errors"
	"log"
	"os"
	"strconv"
)

const block = 4096

type extent struct{ off, len int64 }

func main() {
	log.SetFlags(0)
	args := os.Args[1:]
	var err error
	switch {
	case len(args) == 3 && args[0] == "make":
		var size int64
		if size, err = strconv.ParseInt(args[2], 10, 64); err == nil {
			err = makeAll(args[1], size)
		}
	case len(args) > 1 && args[0] == "read":
		err = readAll(args[1:])
	case len(args) == 3 && args[0] == "pread":
		err = pread(args[1], args[2])
	case len(args) == 4 && args[0] == "pwrite":
		err = pwrite(args[1], args[2], args[3])
	default:
		err = errors.New("usage: see main.go")
	}
	if err != nil {
		log.Fatal("workload: ", err)
	}
}
