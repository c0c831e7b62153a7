package cli

import "runtime/debug"

// ballastSize is how much memory is claimed and never touched, in bytes, so that it
// takes none of the machine's: the collector counts it, and does not run for the few
// MiB of buffers that the programs start with.
const ballastSize = 16 << 20

// tuneCollector suits the collector to programs whose data pass through buffers that
// are used again. What else lives, such as the set of changed chunks, can be large and
// shall not take twice its size. The caller keeps the ballast.
func tuneCollector() (ballast []byte) {
	debug.SetGCPercent(25)
	return make([]byte, ballastSize)
}
