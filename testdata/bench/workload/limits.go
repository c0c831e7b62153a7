package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

func readAll(paths []string) error {
	errs := make([]error, len(paths))
	var all sync.WaitGroup
	for i, path := range paths {
		all.Go(func() {
			f, err := os.Open(path)
			if err != nil {
				errs[i] = err
				return
			}
			defer f.Close()
			b := make([]byte, 4<<20)
			for err == nil {
				_, err = f.Read(b)
			}
			if err != io.EOF {
				errs[i] = err
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// eachExtent reads the list of extents at path.
func eachExtent(path string, do func(off, n int64) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var off, n int64
		if _, err := fmt.Sscan(lines.Text(), &off, &n); err != nil {
			return err
		}
		if err := do(off, n); err != nil {
			return err
		}
	}
	return lines.Err()
}

func pread(extents, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	return eachExtent(extents, func(off, n int64) error {
		_, err := f.ReadAt(b[:n], off)
		return err
	})
}

func pwrite(extents, data, path string) error {
	in, err := os.Open(data)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	b := make([]byte, 1<<20)
	err = eachExtent(extents, func(off, n int64) error {
		if _, err := io.ReadFull(in, b[:n]); err != nil {
			return err
		}
		_, err := out.WriteAt(b[:n], off)
		return err
	})
	return errors.Join(err, syscall.Fdatasync(int(out.Fd())))
}
