package format

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
)

// What no compressor makes smaller is stored; what only seems so at the beginning is not.
func TestIncompressible(t *testing.T) {
	const size = 1 << 20
	noise := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	text := bytes.Repeat([]byte("many words, and some of them come again. "), size/41+1)[:size]
	half := append(bytes.Clone(noise[:size/2]), text[:size/2]...)
	hex := make([]byte, size)
	for i, b := range noise {
		hex[i] = "0123456789abcdef"[b&15]
	}
	for name, test := range map[string]struct {
		data []byte
		want bool
	}{
		"noise":          {noise, true},
		"text":           {text, false},
		"noise and text": {half, false},
		"hexadecimal":    {hex, false},
		"zeros":          {make([]byte, size), false},
		"too little":     {noise[:16<<10], false},
	} {
		if got := incompressible(test.data); got != test.want {
			t.Errorf("%s: incompressible is %v", name, got)
		}
	}
}

// BenchmarkIncompressible compares writing noise with compression to storing it.
func BenchmarkIncompressible(b *testing.B) {
	noise := make([][]byte, benchSegments)
	rnd := rand.NewChaCha8([32]byte{4})
	for i := range noise {
		noise[i] = make([]byte, 1<<20)
		_, _ = rnd.Read(noise[i])
	}
	for _, level := range []int{0, 1, MaxLevel} {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			b.SetBytes(benchSegments << 20)
			for b.Loop() {
				benchPatch(b, io.Discard, level, noise)
			}
		})
	}
}
