package dump

import (
	"errors"
	"os"
	"strings"
	"testing"

	"lvmsync/format/durable"
)

// A patch whose folder is renamed while it is written has no place any more, and leaves
// nothing behind.
func TestOutputFolderMoves(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "folder/x", "old")
	o, err := CreateOutput("patch", "folder/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("folder", "moved"); err != nil {
		t.Fatal(err)
	}
	err = o.Commit()
	if !errors.Is(err, durable.ErrMoved) ||
		!strings.HasPrefix(err.Error(), "finish the patch file folder/x: ") || !o.Removed() {
		t.Errorf("error %v, removed %t", err, o.Removed())
	}
	checkTree(t, ".", map[string]string{"moved/x": "old"})
}
