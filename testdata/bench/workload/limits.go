package main

import (
	"errors"
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

// aligned is a buffer as O_DIRECT wants it.
func aligned(n int) ([]byte, error) {
	return syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func pread(extents, path string, direct int) error {
	f, err := os.OpenFile(path, os.O_RDONLY|direct, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := aligned(piece)
	if err != nil {
		return err
	}
	return eachExtent(extents, func(e extent) error {
		_, err := f.ReadAt(b[:e.len], e.off)
		return err
	})
}

func pwrite(extents, data, path string, direct int) error {
	in, err := os.Open(data)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|direct, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	b, err := aligned(piece)
	if err != nil {
		return err
	}
	err = eachExtent(extents, func(e extent) error {
		if _, err := io.ReadFull(in, b[:e.len]); err != nil {
			return err
		}
		_, err := out.WriteAt(b[:e.len], e.off)
		return err
	})
	return errors.Join(err, syscall.Fdatasync(int(out.Fd())))
}
