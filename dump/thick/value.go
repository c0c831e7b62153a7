package thick

import "lvmsync/dump"

// Source is what is sent, and where that is read.
func (s *Source) Source() dump.Source {
	return dump.Source{
		Header:     s.Header(),
		Extents:    s.Extents(),
		Data:       s.volume,
		SectorSize: s.LogicalBlockSize(),
		Base:       s.base,
		Unchanged:  s.still,
		Inputs:     s.Inputs(),
		Check:      s.Check,
		Close:      s.Close,
	}
}
