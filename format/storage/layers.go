package storage

import (
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// layersOf lists the directories that an overlay consists of, the upper one first.
func layersOf(m *mountinfo.Info) []string {
	var upper, lower []string
	for option := range strings.SplitSeq(m.VFSOptions, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "upperdir":
			upper = append(upper, plain(unescapeOctal(value)))
		case "lowerdir":
			for _, dir := range splitLayers(unescapeOctal(value)) {
				lower = append(lower, plain(dir))
			}
		case "lowerdir+", "datadir+": // one each, and as they are
			lower = append(lower, unescapeOctal(value))
		}
	}
	return append(upper, lower...)
}

// splitLayers splits what the option lowerdir has, at the colons that no backslash precedes.
func splitLayers(text string) (dirs []string) {
	var dir strings.Builder
	flush := func() {
		if dir.Len() > 0 { // "::" comes before layers of data only
			dirs = append(dirs, dir.String())
		}
		dir.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == ':':
			flush()
			continue
		case text[i] == '\\' && i+1 < len(text):
			dir.WriteByte(text[i])
			i++
		}
		dir.WriteByte(text[i])
	}
	flush()
	return dirs
}

// plain takes away the backslashes by which a mount option tells characters of a path from its own.
func plain(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+1 < len(path) {
			i++
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// unescapeOctal undoes what the kernel does to options in the table of mounts.
func unescapeOctal(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
