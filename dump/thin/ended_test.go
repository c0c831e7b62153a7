package thin

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// What a dump of a volume in use has read is durable before the dump ends: after a power cut the
// volume would hold less than the copy, and nothing would tell.
func TestReadIsDurable(t *testing.T) {
	s := show(t)
	backing, err := os.ReadFile("/sys/dev/block/" + s.nums["o"].String() + "/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	file := strings.TrimSpace(string(backing))
	for i, open := range []func() (*Changes, error){
		func() (*Changes, error) { return OpenFull(t.Context(), s.paths["o"]) },
		func() (*Changes, error) { return OpenCompared(t.Context(), s.paths["o"]) },
	} {
		src, err := open()
		opened(t, src, err)
		late := bytes.Repeat([]byte{byte('a' + i)}, 4096)
		dev, err := os.OpenFile(s.nums["o"].Path(), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		if _, err := dev.Write(late); err != nil {
			t.Fatal(err)
		}
		if err := src.Source().Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(got, late) {
			t.Errorf("%d: %v: what was read late is in memory alone", i, err)
		}
	}
}
