// Scale measures whether time and memory of a dump grow faster than what has changed, on
// volumes up to 16 TiB, and prints tables of ratios in Markdown. "make bench-scale" runs
// it; docs/performance.md says what the tables mean. It needs lvmsync-dump and time(1) in
// PATH, and options are variables:
//
//	BENCH_DIR    folder for sparse images, 3 GiB at most (/var/tmp/lvmsync-bench-scale)
//	BENCH_SIZES  sizes of the volumes, in GiB, separated by blanks (4 256 16384)
//	BENCH_CASES  only the tables whose name matches this regular expression
//
// It calls itself, each time in a process of its own, whose peak memory is its own:
//
//	scale make FOLDER BYTES CHUNK      a volume, its COW store, and one that lists nothing
//	scale dump BYTES CHUNK LEVEL CHANGED  dump.Run of a volume that is made up while it's read
package main

import (
	"cmp"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const (
	kib = 1 << 10
	gib = 1 << 30
	// every is the distance of what has changed: one chunk in a hundred.
	every = 100
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("scale: ")
	args := os.Args[1:]
	var err error
	switch {
	case len(args) == 0:
		err = bench()
	case len(args) == 4 && args[0] == "make":
		err = makeFiles(args[1], number(args[2]), number(args[3]))
	case len(args) == 5 && args[0] == "dump":
		err = dumpMadeUp(number(args[1]), number(args[2]), int(number(args[3])),
			args[4] == "changed")
	default:
		err = errors.New("usage: see main.go")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

// A bencher measures the cases whose table is asked for.
type bencher struct {
	self, dir string
	only      *regexp.Regexp
	tables    []*table
}

func bench() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	only, err := regexp.Compile(os.Getenv("BENCH_CASES"))
	if err != nil {
		return err
	}
	b := &bencher{self, cmp.Or(os.Getenv("BENCH_DIR"), "/var/tmp/lvmsync-bench-scale"), only, nil}
	var sizes []int64
	for _, s := range strings.Fields(cmp.Or(os.Getenv("BENCH_SIZES"), "4 256 16384")) {
		sizes = append(sizes, number(s)*gib)
	}
	for _, chunk := range []int64{64 * kib, 4 * kib} {
		if err := errors.Join(b.files(chunk, sizes), b.madeUp(chunk)); err != nil {
			return err
		}
	}
	fmt.Printf("%d processors, %s, 1 chunk in %d changed\n", runtime.NumCPU(),
		runtime.Version(), every)
	for _, t := range b.tables {
		t.print()
	}
	return nil
}

// table adds a table, or returns nil if it isn't asked for.
func (b *bencher) table(format string, args ...any) *table {
	name := fmt.Sprintf(format, args...)
	if !b.only.MatchString(name) {
		return nil
	}
	t := &table{name: name}
	b.tables = append(b.tables, t)
	return t
}

// files measures lvmsync-dump with sparse files.
func (b *bencher) files(chunk int64, sizes []int64) error {
	list := b.table("list and plan (`--dry-run`), chunks of %d KiB", chunk/kib)
	levels := map[int]*table{}
	for _, level := range []int{1, 0} {
		levels[level] = b.table("dump of a sparse volume, level %d, chunks of %d KiB", level,
			chunk/kib)
	}
	if list == nil && levels[0] == nil && levels[1] == nil {
		return nil
	}
	for _, size := range sizes {
		if err := os.MkdirAll(b.dir, 0o755); err != nil {
			return err
		}
		log.Printf("%d GiB, chunks of %d KiB", size/gib, chunk/kib)
		if err := run(b.self, "make", b.dir, fmt.Sprint(size), fmt.Sprint(chunk)); err != nil {
			return err
		}
		at := func(name string) string { return filepath.Join(b.dir, name) }
		dump := func(t *table, options ...string) error {
			command := append([]string{"lvmsync-dump", "-q"}, options...)
			with := func(store string) []string {
				return slices.Concat(command, []string{"--cow", at(store), at("volume")})
			}
			return t.add(subject{size, chunk, at("volume")}, with("empty"), with("store"))
		}
		err := errors.Join(dump(list, "--dry-run"), dump(levels[1], "--level", "1"),
			dump(levels[0], "--level", "0"))
		for _, name := range []string{"volume", "store", "empty"} {
			err = errors.Join(err, os.Remove(at(name)))
		}
		os.Remove(b.dir) // if it's empty
		if err != nil {
			return err
		}
	}
	return nil
}

// madeUp measures dump.Run with volumes that have text in each changed chunk.
func (b *bencher) madeUp(chunk int64) error {
	for _, level := range []int{1, 0} {
		t := b.table("dump of text made up in memory, level %d, chunks of %d KiB", level, chunk/kib)
		for _, size := range []int64{4 * gib, 64 * gib, 1024 * gib} {
			command := []string{b.self, "dump", fmt.Sprint(size),
				fmt.Sprint(chunk), fmt.Sprint(level)}
			with := func(what string) []string { return slices.Concat(command, []string{what}) }
			if err := t.add(subject{size: size, chunk: chunk}, with("nothing"),
				with("changed")); err != nil {
				return err
			}
		}
	}
	return nil
}
