package dmtable

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lvmsync/format/storage/kernel"
)

// What the kernel writes, as linux/dm-ioctl.h has it; and what it never would.
func TestParseAnswer(t *testing.T) {
	answer := func(count uint32, targets ...string) []byte {
		b := make([]byte, headerSize)
		binary.NativeEndian.PutUint32(b[16:], headerSize)
		binary.NativeEndian.PutUint32(b[20:], count)
		start := uint64(0)
		for _, args := range targets {
			spec := make([]byte, specSize)
			binary.NativeEndian.PutUint64(spec, start)
			binary.NativeEndian.PutUint64(spec[8:], 8)
			copy(spec[24:], "linear")
			spec = append(append(spec, args...), 0)
			for len(spec)%8 != 0 {
				spec = append(spec, 0)
			}
			binary.NativeEndian.PutUint32(spec[20:], uint32(len(b)-headerSize+len(spec)))
			b, start = append(b, spec...), start+8
		}
		return b
	}
	good := answer(2, "8:0 2048", "8:16 0")
	got, err := parseAnswer(good)
	want, _ := Parse("0 8 linear 8:0 2048\n8 8 linear 8:16 0\n")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if got, err := parseAnswer(answer(0)); err != nil || len(got) != 0 {
		t.Errorf("no table: %v, %v", got, err)
	}
	for n := range good[:len(good)-1] {
		if _, err := parseAnswer(good[:n]); err == nil && n < len(good)-8 {
			t.Errorf("cut after %d bytes: no error", n)
		}
	}
	for name, b := range map[string][]byte{
		"count too large": answer(3, "8:0 2048", "8:16 0"),
		"two lines":       answer(1, "8:0\n0"),
	} {
		if got, err := parseAnswer(b); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What the kernel has answered may be a key: it isn't left in memory, whatever comes of the
// question.
func TestAnswerCleared(t *testing.T) {
	b := bytes.Repeat([]byte("secret"), 4<<10)
	noControl, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer noControl.Close()
	if _, _, err := readInto(b, noControl, kernel.DevNum{Major: 253}); err == nil {
		t.Error("no error")
	}
	if !bytes.Equal(b, make([]byte, len(b))) {
		t.Error("it's still there")
	}
}
