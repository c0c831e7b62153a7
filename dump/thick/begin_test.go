package thick

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"lvmsync/dump"
)

// A snapshot that is made while the list is read was not there when the dump began, and is younger
// than that: what was written before it need not be in the list.
func TestSnapshotMadeMeanwhile(t *testing.T) {
	for name, open := range map[string]func(s *shown) (Source, error){
		"forth":   func(s *shown) (Source, error) { return Open(t.Context(), s.paths["s"]) },
		"reverse": func(s *shown) (Source, error) { return OpenReverse(t.Context(), s.paths["s"]) },
		"to": func(s *shown) (Source, error) {
			return OpenTo(t.Context(), s.paths["s"], s.paths["s2"])
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := partial(t)
			s.add("s2", partialSize, c.origin, c.cow, c.ChunkBytes, partialStatus)
			made := filepath.Join(t.TempDir(), "made")
			status := fmt.Sprintf("0 %d snapshot %s", partialSize/512, partialStatus)
			s.Status(s.nums["s"], 1, status,
				`sed s/uuid-of-s2/uuid-of-late/ $d/../../lv/vg/s2 >$d/../../lv/vg/late
				cat /proc/uptime >`+made+`
				for i in 1 2; do
					read now idle </proc/uptime; then=$now
					while [ $now = $then ]; do read now idle </proc/uptime; done
				done`)
			s.Status(s.nums["s"], 2, status, "")
			src, err := open(s)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			want := []string{"uuid-of-s", "uuid-of-s2"}
			if got := src.Header.Source.Snapshots; !slices.Equal(got, want) {
				t.Errorf("when the dump began there were %v, want %v", got, want)
			}
			report, err := dump.Run(t.Context(), src.Source, new(bytes.Buffer), dump.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var at float64 // in seconds, of which it has hundredths
			if _, err := fmt.Sscan(string(read(t, made)), &at); err != nil {
				t.Fatal(err)
			}
			if began := report.Header.Source.Uptime; began >= int64(at*1000)+10 {
				t.Errorf("it began after %d ms, and the snapshot was there after %v s", began, at)
			}
		})
	}
}
