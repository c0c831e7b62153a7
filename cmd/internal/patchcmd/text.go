package patchcmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
)

// text tells people what the patch is. Names in a header may hold anything: --json has all of them.
func (p patchInfo) text() string {
	var b strings.Builder
	row := func(name string, parts ...string) {
		if text := joined(", ", parts...); text != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, cli.OneLine(text))
		}
	}
	h, t := p.Header.Shown(), p.Totals
	end := ""
	if p.NoEnd {
		end = "without its end"
	}
	row("patch", patchfile.Shown(p.Name), bytesOf(p.Size), end)
	if p.NoEnd {
		row("torn", count(p.Torn, "byte")+" at its end, not understood")
	}
	row("kind", string(h.Kind))
	row("id", h.ID.String())
	row("volume", named(h.Source.VG, h.Source.LV), prefixed("UUID ", h.Source.LVUUID),
		prefixed("group's UUID ", h.Source.VGUUID))
	row("snapshot", named(h.Source.VG, h.Source.Snapshot), prefixed("UUID ", h.Source.SnapshotUUID))
	row("read from", h.Source.Path, h.Source.Type)
	row("made", joined(" ", when(h.Created), prefixed("on ", h.Host),
		prefixed("by ", joined(" ", h.Tool, h.ToolVersion))))
	row("size", bytesOf(h.VolumeSize))
	row("granularity", bytesOf(h.Granularity))
	if h.Start > 0 {
		row("starts at", bytesOf(h.Start)+"; what changed before was brought by an earlier run")
	}
	row("base", base(h)...)
	row("leads to", cmp.Or(state(h), "a state without a name"))
	row("extents", fmt.Sprintf("%d in %s", t.Extents, count(t.Segments, "segment")))
	row("data", bytesOf(t.DataBytes))
	row("zeros", bytesOf(t.ZeroBytes))
	if p.Lost.Count > 0 {
		row("lost", p.Lost.String()+": zeros stand for what could not be read")
	}
	if h.Kind != format.Full {
		row("changed", cli.Percent(t.Bytes(), h.VolumeSize)+" of the volume")
	}
	row("compression", fmt.Sprintf("%.2f bytes of data for each byte of the patch", p.ratio()))
	row("requires", cmp.Or(format.Shown(strings.Join(h.RequiredFeatures, ", ")),
		fmt.Sprintf("format version %d, no features", format.Version)))
	row("map", fmt.Sprintf("%s, cells of %s", p.shows(), cli.Bytes(p.volume.length(0))))
	return b.String() + p.scale() + "\n" + p.volume.String() + "\n"
}

// scale is the line above the map: where it begins and where it ends.
func (p patchInfo) scale() string {
	end, width := cli.Bytes(p.Header.VolumeSize), len(p.volume.bytes)
	if len(end)+2 > width {
		return strings.Repeat("-", width)
	}
	return "0" + strings.Repeat("-", width-1-utf8.RuneCountInString(end)) + end
}

// base is what the patch is relative to.
func base(h format.Header) []string {
	switch {
	case h.Kind == format.Full:
		return []string{"none"}
	case h.Base == nil:
		return []string{"unknown"}
	}
	exact, patch := "not exact", "follows patch "
	if h.Base.Exact {
		exact = "exact"
	}
	if h.Kind == format.Undo {
		patch = "takes back patch "
	}
	samples := "fingerprint of " + count(int64(len(h.Base.Fingerprint)), "sample")
	return []string{exact, snapshot(h.Base.Snapshot, h.Base.SnapshotCreated),
		known(patch, h.Base.Patch), samples}
}

// state is what the volume is afterwards, if other patches know it by name.
func state(h format.Header) string {
	if h.State == nil {
		return ""
	}
	return joined(", ", snapshot(h.State.Snapshot, h.State.SnapshotCreated),
		known("where patch ", h.State.Patch))
}

// snapshot names one, if there is one.
func snapshot(id string, made time.Time) string {
	if id == "" {
		return ""
	}
	return joined(" ", "snapshot with UUID", id, prefixed("made ", when(made)))
}

func known(before string, patch uuid.UUID) string {
	if patch == uuid.Nil {
		return ""
	}
	return before + patch.String()
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -0700")
}

// named is a volume as LVM's users name it.
func named(vg, lv string) string {
	if lv == "" {
		return ""
	}
	return vg + "/" + lv
}

// bytesOf is a number of bytes for people, and exactly.
func bytesOf(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%s (%d bytes)", cli.Bytes(n), n)
}

// count is a number of things.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// prefixed puts something before a text, if there is one.
func prefixed(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// joined joins those texts that are not empty.
func joined(by string, texts ...string) string {
	texts = slices.DeleteFunc(texts, func(t string) bool { return t == "" })
	return strings.Join(texts, by)
}
