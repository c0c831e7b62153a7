package format

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The time since the boot goes through a patch as it is; one that nobody knows is not
// there, and none is below 0.
func TestUptime(t *testing.T) {
	header := Header{ID: uuid.New(), Kind: Delta, Created: time.Unix(1, 0).UTC(), VolumeSize: 4096,
		Granularity: 512, Source: Source{BootID: "b"}}
	for uptime, text := range map[int64]string{0: "",
		1: `"uptime_ms":1,`, 1 << 62: `"uptime_ms":4611686018427387904,`} {
		var out bytes.Buffer
		header.Source.Uptime = uptime
		w, err := NewWriter(&out, header, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if has := strings.Contains(out.String(), "uptime_ms"); has != (text != "") ||
			!strings.Contains(strings.Replace(out.String(), "}", ",}", 1), text) {
			t.Errorf("%d: %q", uptime, out.String())
		}
		r, err := NewReader(bytes.NewReader(out.Bytes()), ReaderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Header().Source.Uptime; got != uptime {
			t.Errorf("%d, want %d", got, uptime)
		}
		r.Close()
	}
	header.Source.Uptime = -1
	if err := header.Validate(); err == nil || !strings.Contains(err.Error(), "uptime of -1 ms") {
		t.Errorf("%v", err)
	}
}
