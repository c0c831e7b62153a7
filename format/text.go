package format

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown is how much of a text is shown, in characters.
const maxShown = 200

// Shown is a text from a patch as it goes into a message: in one line, nothing in it that
// a terminal acts upon, and no longer than people read.
func Shown(text string) string {
	if len(text) <= maxShown && !strings.ContainsFunc(text, isUnusual) { // as almost always
		return text
	}
	var b strings.Builder
	n := 0
	for _, r := range text {
		c := string(r)
		switch {
		case n >= maxShown:
			return b.String() + "..."
		case r == '\n':
			c = "; "
		case !unicode.IsPrint(r):
			c = "?"
		}
		b.WriteString(c)
		n += utf8.RuneCountInString(c)
	}
	return b.String()
}

func isUnusual(r rune) bool { return r < ' ' || r > '~' }

// Shown returns the header with all of its texts as [Shown] has them: for messages, not
// to be compared with anything.
func (h Header) Shown() Header {
	s := &h.Source
	for _, text := range []*string{&h.Tool, &h.ToolVersion, &h.Host, &s.Type, &s.Path,
		&s.DeviceUUID, &s.DeviceID,
		&s.BootID, &s.VG, &s.VGUUID, &s.LV, &s.LVUUID, &s.Snapshot, &s.SnapshotUUID} {
		*text = Shown(*text)
	}
	h.Kind = Kind(Shown(string(h.Kind)))
	if h.Base != nil {
		base := *h.Base
		base.Snapshot = Shown(base.Snapshot)
		h.Base = &base
	}
	if h.State != nil {
		state := *h.State
		state.Snapshot = Shown(state.Snapshot)
		h.State = &state
	}
	return h
}
