package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// A list of extents is a text of offsets and lengths, none longer than a piece.
const piece = 1 << 20

func pieces(list []extent) []extent {
	var short []extent
	for _, e := range list {
		for ; e.len > piece; e = (extent{e.off + piece, e.len - piece}) {
			short = append(short, extent{e.off, piece})
		}
		short = append(short, e)
	}
	return short
}

// eachExtent reads the list of extents at path.
func eachExtent(path string, do func(e extent) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e extent
		if _, err := fmt.Sscan(lines.Text(), &e.off, &e.len); err != nil {
			return err
		}
		if err := do(e); err != nil {
			return err
		}
	}
	return lines.Err()
}

// writeList writes a list of extents, and what they hold in an image side by side.
func writeList(listPath, dataPath, image string, list []extent) error {
	in, err := os.Open(image)
	if err != nil {
		return err
	}
	defer in.Close()
	text, err := os.Create(listPath)
	if err != nil {
		return err
	}
	defer text.Close()
	data, err := os.Create(dataPath)
	if err != nil {
		return err
	}
	defer data.Close()
	w := bufio.NewWriter(text)
	for _, e := range list {
		fmt.Fprintln(w, e.off, e.len)
		if _, err := io.Copy(data, io.NewSectionReader(in, e.off, e.len)); err != nil {
			return err
		}
	}
	return w.Flush()
}

// differ lists the blocks in which two images of the same size differ.
func differ(oldPath, newPath, listPath, dataPath string) error {
	var readers [2]*bufio.Reader
	for i, path := range []string{oldPath, newPath} {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		readers[i] = bufio.NewReaderSize(f, 4<<20)
	}
	var list []extent
	b, c := make([]byte, block), make([]byte, block)
	for off := int64(0); ; off += block {
		_, err1 := io.ReadFull(readers[0], b)
		_, err2 := io.ReadFull(readers[1], c)
		if err1 == io.EOF && err2 == io.EOF {
			break
		}
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if bytes.Equal(b, c) {
			continue
		}
		if last := len(list) - 1; last >= 0 && list[last].off+list[last].len == off {
			list[last].len += block
		} else {
			list = append(list, extent{off, block})
		}
	}
	return writeList(listPath, dataPath, newPath, pieces(list))
}

func copyExtents(list, from, to string) error { return rewrite(list, from, to, func([]byte) {}) }

func spoil(list, path string) error {
	return rewrite(list, path, path, func(b []byte) {
		for i := range b {
			b[i] = ^b[i]
		}
	})
}

// rewrite writes to the extents of a file what change makes of those of another one.
func rewrite(list, from, to string, change func(b []byte)) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	b := make([]byte, piece)
	return eachExtent(list, func(e extent) error {
		if _, err := in.ReadAt(b[:e.len], e.off); err != nil {
			return err
		}
		change(b[:e.len])
		_, err := out.WriteAt(b[:e.len], e.off)
		return err
	})
}
