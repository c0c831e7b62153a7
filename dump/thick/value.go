package thick

import "lvmsync/dump"

// Source is what is sent, and where that is read.
func (s *Source) Source() dump.Source { return s }
