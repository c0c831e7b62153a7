package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lvmsync/format"
	"lvmsync/format/internal/patchtest"
)

// Zeros behind a patch are part of no patch. That there are terabytes of them holds nobody up.
func TestZerosBehind(t *testing.T) {
	whole := patchtest.Write(t, patchtest.Header(format.Delta, 8192))
	for name, tt := range map[string]struct {
		content []byte
		size    int64
		want    Status // empty: it is a patch
	}{
		"none":                {whole, int64(len(whole)), ""},
		"some":                {whole, 32 << 20, ""},
		"a terabyte":          {whole, 1 << 40, Truncated},
		"a header and no end": {whole[:len(whole)-1], 1 << 40, Truncated},
		"nothing but zeros":   {nil, 1 << 40, Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			if err := os.WriteFile(file, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, tt.size); err != nil {
				t.Fatal(err)
			}
			a, err := Read(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			got := Status("")
			if len(a.Files) > 0 {
				got = a.Files[0].Status
			}
			if got != tt.want || len(a.Files)+len(a.Volumes) != 1 {
				t.Errorf("told as %q, want %q", got, tt.want)
			}
		})
	}
}

// Who has interrupted waits for no file.
func TestEndsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	e := endsOf(ctx, zeros{}, 1<<40)
	defer e.release()
	b := make([]byte, 10)
	if _, err := e.ReadAt(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := e.ReadAt(b, 1<<20); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) {
	clear(b)
	return len(b), nil
}
