package mount

import (
	"os"
	"sync"

	"lvmsync/format"
	"lvmsync/format/archive"
)

// patches are those that are open, each once for all states that it is part of.
type patches struct {
	mu  sync.Mutex
	all map[*archive.Patch]*opened
}

// An opened patch is one that is open, or is just being opened.
type opened struct {
	of    *archive.Patch
	users int
	ready chan struct{} // closed when it is there, or err
	file  *os.File
	patch *format.File
	err   error
}

// open opens a patch, unless it is open. An error is not kept.
func (p *patches) open(one *archive.Patch) (*opened, error) {
	p.mu.Lock()
	o, ok := p.all[one]
	if ok {
		o.users++
		p.mu.Unlock()
		<-o.ready
	} else {
		o = &opened{of: one, users: 1, ready: make(chan struct{})}
		p.all[one] = o
		p.mu.Unlock()
		o.file, o.patch, o.err = one.OpenAt()
		close(o.ready)
	}
	if o.err != nil {
		p.close([]*opened{o})
		return nil, o.err
	}
	return o, nil
}

// close gives patches back; nil is none. The last of its users closes the file.
func (p *patches) close(all []*opened) {
	var files []*os.File
	p.mu.Lock()
	for _, o := range all {
		if o == nil {
			continue
		}
		if o.users--; o.users > 0 {
			continue
		}
		delete(p.all, o.of)
		if o.file != nil {
			files = append(files, o.file)
		}
	}
	p.mu.Unlock()
	for _, f := range files { // which may take its time where that is a network's
		f.Close()
	}
}
