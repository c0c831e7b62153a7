package e2e

import (
	"bytes"
	"encoding/json"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"lvmsync/format"
)

// craft PATCH HEADER makes a patch with the header in the file HEADER, and one block of data at the
// beginning of the volume, the rest of which is zeros in a full one.
func craft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: craft patch header")
	}
	var h format.Header
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &h))
	var out bytes.Buffer
	w, err := format.NewWriter(&out, h, format.WriterOptions{})
	ts.Check(err)
	s := w.NewSegment()
	s.Records = append(s.Records, format.Record{Extent: format.Extent{Len: 4096}})
	s.Data = append(s.Data, bytes.Repeat([]byte("x"), 4096)...)
	if h.Kind == format.Full && h.VolumeSize > 4096 {
		s.Records = append(s.Records, format.Record{Extent: format.Extent{Off: 4096,
			Len: h.VolumeSize - 4096, Kind: format.Zero}})
	}
	ts.Check(w.Write(s))
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600))
}
