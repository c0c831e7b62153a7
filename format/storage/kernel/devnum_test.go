package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestParse(t *testing.T) {
	for _, s := range []string{"", ":", "253", "253:", ":1", "253:1:1", "253:-1", "+253:1",
		"253:4294967296", " 253:1"} {
		if n, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v", s, n)
		}
	}
	if n, err := Parse("253:1048575"); err != nil || n.String() != "253:1048575" {
		t.Errorf("parseDevNum = %v, %v", n, err)
	}
}

func TestByUUID(t *testing.T) {
	old := Sys
	t.Cleanup(func() { Sys = old })
	Sys = t.TempDir()
	for num, uuid := range map[string]string{"253:1": "LVM-a\n", "253:2": "\n", "7:0": ""} {
		dir := filepath.Join(Sys, "dev", "block", num, "dm")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "uuid"), []byte(uuid), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for uuid, want := range map[string]bool{"LVM-a": true, "LVM-b": false, "": false} {
		num, err := ByUUID(uuid)
		if (err == nil) != want || want && num != (DevNum{253, 1}) || !want &&
			!errors.Is(err, ErrNotDM) {
			t.Errorf("%q: %s, %v", uuid, num, err)
		}
	}
}
