package apply

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"lvmsync/format"
	"lvmsync/format/container"
)

// checkKind refuses a destination that begins like a patch, or like anything else but a
// raw volume: somebody forgot the destination, and named a backup last. Devices are no
// exception, for a patch may have been written to one; but a volume may hold such a thing
// rightly, and then its copy does, too.
func (c *chain) checkKind(ctx context.Context, d *destination, o Options) error {
	kind := container.Identify(d, d.size)
	if !kind.Is() {
		return nil
	}
	if o.Force {
		o.Warn(fmt.Sprintf("forced: %s is %s", d.path, kind.Name))
		return nil
	}
	switch copied, err := c.isCopy(ctx, d, kind, o); {
	case copied || err != nil:
		return err
	case kind.Ours:
		return fmt.Errorf("%s is %s, %w", d.path, kind.Name, ErrIsPatch)
	}
	return fmt.Errorf("%s is %s, %w", d.path, kind.Name, ErrNotRaw)
}

// openToRead opens a destination that is there just to read it. What is wrong with one that
// can't be, which then looks empty, is told when it's opened to be written. Close it at
// the end: to do so before would give up the locks that this process has on the file.
func openToRead(path string) *destination {
	d := &destination{path: path}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Type() != 0 && st.Mode().Type() != os.ModeDevice {
		return d
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return d
	}
	opened := &destination{path: path, f: f, isDevice: st.Mode().Type() == os.ModeDevice}
	if opened.size, err = f.Seek(0, io.SeekEnd); err == nil {
		opened.in, err = openDirect(opened)
	}
	if err != nil {
		f.Close()
		return d
	}
	return opened
}

// isCopy tells whether what the destination holds is what the patches are about: they
// lead to the same kind of thing, or say that it is what they replace. What is no patch
// may also be left to what the first patch says of its base, all of it or a sample.
func (c *chain) isCopy(
	ctx context.Context, d *destination, kind container.Kind, o Options,
) (bool, error) {
	for i := range c.patches { // the newest one that has the beginning tells what will be there
		in := c.patches[len(c.patches)-1-i]
		b, err := in.beginning(o.held())
		if err != nil {
			return false, err
		}
		if b.there && container.OfHead(b.data[:min(len(b.data), container.HeadSize)]) == kind {
			return true, nil
		}
		if b.there && i == len(c.patches)-1 && b.HasBase && !o.NoCheckBase {
			check := newBaseCheck(d, in.alone(), false)
			err := check.extent(ctx, b.Record, b.data, inMemory{}, d)
			return check.result() == nil && b.End() <= d.size, err
		}
		if b.there {
			break
		}
	}
	if kind.Ours || o.NoCheckBase {
		return false, nil
	}
	return c.holdsBase(ctx, d)
}

// holdsBase tells whether the destination is what the first patch starts from, as far as
// that tells before it is read: an exact one, or an undo patch, is applied to nothing else,
// and samples tell if they aren't of zeros.
func (c *chain) holdsBase(ctx context.Context, d *destination) (bool, error) {
	h := c.patches[0].header
	if h.Base == nil {
		return false, nil
	}
	if h.Base.Exact {
		return true, nil
	}
	told := false
	for _, s := range h.Base.Fingerprint {
		told = told || s.Offset+format.SampleSize <= d.size && !s.Holds(zeros[:format.SampleSize])
	}
	if !told {
		return false, nil
	}
	check := newBaseCheck(d, c.patches[0].alone(), false)
	if err := check.run(ctx); err != nil {
		return false, err
	}
	return check.result() == nil || d.isDevice, nil // whose wrong base is told as such
}

// A beginning is what a patch has for the first bytes of the volume.
type beginning struct {
	format.Record
	there bool
	data  []byte // zeros if it's a zero extent
}

// beginning reads the first segment. That of a pipe is kept for Next.
func (in *input) beginning(held int) (beginning, error) {
	if in.at == nil {
		if in.peeked == nil {
			s, err := in.Next()
			if err == io.EOF {
				return beginning{}, nil
			}
			if err != nil {
				return beginning{}, err
			}
			in.peeked = s
		}
		return beginningOf(in.peeked), nil
	}
	r, err := format.NewReader(in.again(), format.ReaderOptions{Held: held})
	if err != nil {
		return beginning{}, fmt.Errorf("%s: %w", in.name, err)
	}
	defer r.Close()
	s, err := r.Next()
	if err != nil {
		return beginning{}, nil // reading it all will tell
	}
	defer s.Release()
	return beginningOf(s), nil
}

// beginningOf copies what a segment has for the first bytes of the volume.
func beginningOf(s *format.Segment) beginning {
	for r, data := range s.All() {
		if r.Kind == format.Data {
			data = slices.Clone(data)
		} else {
			data = make([]byte, min(r.Len, container.HeadSize))
		}
		return beginning{Record: r, there: r.Off == 0, data: data}
	}
	return beginning{}
}
