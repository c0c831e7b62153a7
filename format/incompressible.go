package format

import "github.com/klauspost/compress"

// incompressible tells from a few samples whether it's no use to compress data.
func incompressible(data []byte) bool {
	const samples, size = 8, 4 << 10
	if len(data) < samples*size {
		return false
	}
	for i := range samples {
		at := (len(data) - size) * i / (samples - 1)
		// What is likely to compress has 0.1 or more.
		if compress.Estimate(data[at:at+size]) > 0.1 {
			return false
		}
	}
	return true
}
