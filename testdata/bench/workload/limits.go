package main

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
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

// compare reads two files and compares them, on two processors: the least that any
// comparison does.
func compare(paths [2]string) error {
	var files [2]*os.File
	for i, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = f
	}
	const size = 512 << 10 // of both files, it stays in a processor's cache
	var next, differ atomic.Int64
	var errs [2]error
	var all sync.WaitGroup
	for worker := range errs {
		all.Go(func() {
			a, b := make([]byte, size), make([]byte, size)
			for errs[worker] == nil {
				off := next.Add(size) - size
				n, err1 := files[0].ReadAt(a, off)
				m, err2 := files[1].ReadAt(b, off)
				if !bytes.Equal(a[:n], b[:m]) {
					differ.Add(1)
				}
				errs[worker] = cmp.Or(err1, err2)
			}
			if errs[worker] == io.EOF {
				errs[worker] = nil
			}
		})
	}
	all.Wait()
	return errors.Join(errs[:]...)
}

// aligned is a buffer as O_DIRECT wants it.
func aligned(n int) ([]byte, error) {
	return syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
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
