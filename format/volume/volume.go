// Package volume reads what patches in order leave as one volume, at random: at every byte
// the newest patch that has it, and what is beneath them where none does.
package volume

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"lvmsync/format"
)

// DefaultCache is how many bytes of memory a Volume uses for what it has read, unless told.
const DefaultCache = 64 << 20

// A Patch is one of those that a volume is made of.
type Patch struct {
	Name string // for messages
	File *format.File
}

// Options say how a [Volume] is read; the zero value is good for a chain with a full patch.
type Options struct {
	// Base is what is beneath the patches, of BaseSize bytes: a device or an image that
	// holds what the first of them starts from. A chain with a full patch has none.
	Base     io.ReaderAt
	BaseSize int64
	// Cache bounds the memory for what has been read, in bytes; 0: DefaultCache. What is just
	// being read or copied comes on top, a segment for each that does it, and what four of them
	// take that the next will be read into.
	Cache int64
	// Shared, unless it is nil, is used instead of a cache of the volume's own.
	Shared *Cache
	// AcceptLost has zeros read where a patch has lost what the volume held. Otherwise that
	// is a [LostError].
	AcceptLost bool
}

// A Volume is what patches leave, as one sequence of bytes. Every segment is checked before a
// byte of it is given. The methods may be used by any number of goroutines, but for Close.
//
// It keeps nothing for each segment beyond what the Files have, which is 24 bytes in an index.
type Volume struct {
	layers []layer // the newest first
	size   int64
	base   io.ReaderAt // may be nil
	// baseEnd is where that ends as far as it can be seen, in bytes.
	baseEnd    int64
	acceptLost bool
	cache      *Cache
	ahead      readAhead
	running    sync.WaitGroup // what reads ahead
}

// A layer is a patch as it is seen from above.
type layer struct {
	name string
	file *format.File
	// end is what later patches have left of the volume's size: what was behind it has been
	// cut off and does not come back when the volume grows again.
	end int64
}

// Open makes a volume of patches, the oldest first: a full one and what follows it, or deltas
// and undo patches alone, with Options.Base beneath. That each of them follows the one before
// is for the caller to know. Files and base stay the caller's; they must last until Close.
func Open(patches []Patch, o Options) (*Volume, error) {
	if err := check(patches, o); err != nil {
		return nil, err
	}
	v := &Volume{base: o.Base, acceptLost: o.AcceptLost, cache: o.Shared}
	if v.cache == nil {
		v.cache = NewCache(o.Cache)
	}
	end := int64(math.MaxInt64)
	for _, p := range slices.Backward(patches) {
		size := p.File.Header().Last().VolumeSize // merged: what the last of them has left
		end = min(end, size)
		v.size = cmp.Or(v.size, size)
		v.layers = append(v.layers, layer{p.Name, p.File, end})
	}
	if v.base != nil {
		v.baseEnd = min(end, o.BaseSize)
	}
	v.cache.enter(v)
	v.ahead.init(v.cache.max)
	return v, nil
}

func check(patches []Patch, o Options) error {
	switch {
	case len(patches) == 0:
		return errors.New("a volume of no patches")
	case o.Cache < 0 || o.BaseSize < 0:
		return fmt.Errorf("a cache of %d bytes, a base of %d bytes", o.Cache, o.BaseSize)
	}
	for i, p := range patches {
		switch h := p.File.Header(); {
		case i == 0 && h.Kind == format.Full && o.Base != nil:
			return fmt.Errorf("%s is a full patch: nothing is beneath it", p.Name)
		case i == 0 && h.Kind != format.Full && o.Base == nil:
			return fmt.Errorf("%s is not a full patch: the volume that it starts from is needed",
				p.Name)
		case i > 0 && h.Kind == format.Full:
			return fmt.Errorf("%s is a full patch, which needs none before it", p.Name)
		case i > 0 && h.Start > 0:
			return fmt.Errorf("%s is the rest of an interrupted run "+
				"and leaves out what changed before byte %d", p.Name, h.Start)
		}
	}
	return nil
}

// Size is the size of the volume in bytes: what the last patch says.
func (v *Volume) Size() int64 { return v.size }

// Close ends the reading ahead and waits for it: the files may be closed then. Nothing else
// may be called at the same time or afterwards.
func (v *Volume) Close() error {
	v.ahead.stop()
	v.running.Wait()
	v.cache.leave(v)
	v.layers = nil
	return nil
}
