package archive

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lvmsync/format"
	"lvmsync/format/follow"
)

// Bad tells whether a file seems to be a patch to a state that can't be used, and no other file has
// the same. A hidden one was never there.
func (f File) Bad() bool {
	if isHidden(f.Path) || f.Same != nil || f.Header != nil && f.Header.Kind == format.Undo {
		return false
	}
	switch f.Status {
	case Truncated, Damaged, Newer, Unreadable, Unfinished:
		return true
	case Foreign: // such as one of which a crash has left nothing, or that is encrypted
		return !errors.Is(f.Err, errFolder) && !errors.Is(f.Err, errNotFile) &&
			mayHold(filepath.Base(f.Path))
	}
	return false
}

// about are the ends of the names of files that tell of a patch and hold none.
var about = []string{"asc", "b2", "b3", "json", "log", "md5", "minisig", "sha1", "sha224", "sha256",
	"sha384", "sha512", "sig", "sum", "txt", "xxh"}

// mayHold tells whether the name is that of a patch, or of what was made of one, such as
// x.lvmpatch.age.
func mayHold(name string) bool {
	_, end, is := strings.Cut(name, ".lvmpatch")
	return is && !slices.Contains(about, strings.ToLower(strings.TrimLeft(end, ".-")))
}

// mayBeNewer tells whether a file may be a patch to a state that is newer than that of p, but not
// later than at.
func (f File) mayBeNewer(p *Patch, at time.Time) bool {
	if !f.Bad() {
		return false
	}
	if f.Header == nil {
		return true
	}
	t := stateTime(*f.Header)
	if follow.State(*f.Header) == p.State() {
		return false // such as a copy that is not whole
	}
	leads := follow.Leads(p.Header)
	follows := slices.ContainsFunc(follow.Starts(*f.Header), func(name string) bool {
		return slices.Contains(leads, name)
	})
	return t.IsZero() || (follows || !t.Before(p.Time())) && (at.IsZero() || !t.After(at))
}
