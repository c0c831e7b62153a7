package follow

import (
	"time"

	"github.com/google/uuid"

	"lvmsync/format"
)

// on is a time of day on which a patch or a snapshot was made.
func on(hour int) time.Time { return time.Date(2026, 5, 6, hour, 0, 0, 0, time.UTC) }

// number makes a UUID.
func number(n byte) uuid.UUID { return uuid.UUID{15: n} }

// A tweak changes something of a header.
type tweak func(*format.Header)

// ordered is the header of a delta about which nothing is known but when it was
// made, with tweaks.
func ordered(id byte, hour int, tweaks ...tweak) format.Header {
	h := format.Header{ID: number(id), Kind: format.Delta, Created: on(hour),
		VolumeSize: 1 << 20, Granularity: 4096}
	for _, t := range tweaks {
		t(&h)
	}
	return h
}

func kind(k format.Kind) tweak { return func(h *format.Header) { h.Kind = k } }
func size(n int64) tweak       { return func(h *format.Header) { h.VolumeSize = n } }

func lv(name, id string) tweak {
	return func(h *format.Header) { h.Source.VG, h.Source.LV, h.Source.LVUUID = "vg", name, id }
}

// after says which patch leads to the base.
func after(id byte) tweak {
	return func(h *format.Header) {
		h.Base = &format.Base{Patch: number(id)}
	}
}

// from says which snapshot the patch starts from, by its UUID only.
func from(snapshot string) tweak {
	return func(h *format.Header) { h.Base.Snapshot = snapshot }
}

// back says which patch led to the state that the patch leads back to.
func back(id byte) tweak {
	return func(h *format.Header) { h.State = &format.State{Patch: number(id)} }
}

// since says which snapshot the patch starts from; hour 0: made nobody knows when.
func since(snapshot string, hour int) tweak {
	return func(h *format.Header) {
		h.Base = &format.Base{Snapshot: snapshot}
		if hour > 0 {
			h.Base.SnapshotCreated = on(hour)
		}
	}
}

// upTo says which snapshot the patch leads to.
func upTo(snapshot string, hour int) tweak {
	return func(h *format.Header) {
		h.State = &format.State{Snapshot: snapshot}
		if hour > 0 {
			h.State.SnapshotCreated = on(hour)
		}
	}
}

// knowing lists the snapshots of the volume that there were.
func knowing(snapshots ...string) tweak {
	return func(h *format.Header) {
		h.Source.LVUUID, h.Source.Snapshots = "A", append([]string{}, snapshots...)
	}
}

func exactly(h *format.Header)     { h.Base.Exact = true }
func undated(h *format.Header)     { h.Created = time.Time{} }
func halfPast(h *format.Header)    { h.Created = h.Created.Add(time.Second / 2) }
func namedSnap(h *format.Header)   { h.Source.VG, h.Source.Snapshot = "vg", "snap" }
func otherPath(h *format.Header)   { h.Source.Path, h.Source.LVUUID = "/dev/loop7", "loop" }
func withoutBase(h *format.Header) { h.Base = nil }

// upFor says that a patch was dumped when the machine had been up for so many hours.
func upFor(hours int64, boot string) tweak {
	return func(h *format.Header) {
		h.Host, h.Source.BootID, h.Source.Uptime = "host", boot, hours*3600*1000
	}
}
