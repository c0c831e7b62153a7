package merge

import (
	"slices"

	"lvmsync/format"
)

// sourcesOf are what patches were read from, each once.
func sourcesOf(headers []format.Header) []format.MergedSource {
	var all []format.MergedSource
	for _, h := range headers {
		for _, one := range h.Sources() {
			all = addSource(all, format.MergedSource{Host: one.Host, Source: identity(one.Source)})
		}
	}
	return all[max(0, len(all)-format.MaxMergedSources):]
}

// identity is all that tells a source from others.
func identity(s format.Source) format.Source {
	return format.Source{Type: s.Type, Path: s.Path, DeviceUUID: s.DeviceUUID,
		DeviceID: s.DeviceID, BootID: s.BootID, VGUUID: s.VGUUID, SnapshotUUID: s.SnapshotUUID,
		Storage: s.Storage}
}

// addSource adds a source as the last one. One that is known but for places gets these, too.
func addSource(all []format.MergedSource, s format.MergedSource) []format.MergedSource {
	i := slices.IndexFunc(all, func(known format.MergedSource) bool {
		x, y := known.Source, s.Source
		return known.Host == s.Host && x.Type == y.Type && x.Path == y.Path &&
			x.DeviceUUID == y.DeviceUUID && x.DeviceID == y.DeviceID && x.BootID == y.BootID &&
			x.VGUUID == y.VGUUID && x.SnapshotUUID == y.SnapshotUUID
	})
	if i >= 0 {
		places := slices.Clone(s.Source.Storage)
		for _, p := range all[i].Source.Storage {
			if !slices.Contains(places, p) {
				places = append(places, p)
			}
		}
		if len(places) > format.MaxPlaces {
			return append(all, s)
		}
		s.Source.Storage = places
		all = slices.Delete(all, i, i+1)
	}
	return append(all, s)
}
