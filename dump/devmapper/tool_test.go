package devmapper

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// cron's PATH lacks the folders that administrators' programs are in.
func TestFindToolBesidePath(t *testing.T) {
	argsFile := fakeTool(t, "dmsetup", "the output\n", "", "0")
	dir := filepath.Dir(argsFile)
	for _, path := range []string{"/usr/bin:/bin", "", t.TempDir()} {
		onlyPath(t, path)
		systemDirs = []string{"/nosuch", dir}
		out, err := run(context.Background(), "dmsetup", "table")
		if out != "the output\n" || err != nil {
			t.Errorf("PATH %q: run = %q, %v", path, out, err)
		}
	}
	// What is on the PATH goes first.
	first := fakeTool(t, "dmsetup", "first\n", "", "0")
	systemDirs = []string{dir}
	if out, err := run(context.Background(), "dmsetup", "table"); out != "first\n" || err != nil {
		t.Errorf("with another in %s: run = %q, %v", filepath.Dir(first), out, err)
	}
}

// A program in the current folder is none of the system's.
func TestFindToolHere(t *testing.T) {
	argsFile := fakeTool(t, "dmsetup", "the output\n", "", "0")
	here := t.TempDir()
	if err := os.WriteFile(filepath.Join(here, "dmsetup"), []byte("#!/bin/sh\nexit 1\n"),
		0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	onlyPath(t, ".")
	systemDirs = []string{filepath.Dir(argsFile)}
	if out, err := run(context.Background(), "dmsetup", "table"); out != "the output\n" ||
		err != nil {
		t.Errorf("run = %q, %v", out, err)
	}
}

func TestEnvironment(t *testing.T) {
	for _, name := range []string{"LVM_REPORT_FD", "LVM_COMMAND_PROFILE", "DM_DEV_DIR", "LC_ALL",
		"LVM_SYSTEM_DIR", "DM_DISABLE_UDEV", "HOME"} {
		t.Setenv(name, "value")
	}
	t.Setenv("PATH", "/usr/bin:/sbin")
	env := environment()
	for _, want := range []string{"LVM_SYSTEM_DIR=value", "DM_DISABLE_UDEV=value", "HOME=value",
		"LC_ALL=C", "PATH=/usr/bin:/sbin:/usr/sbin"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not there", want)
		}
	}
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if slices.Contains([]string{"LVM_REPORT_FD", "LVM_COMMAND_PROFILE", "DM_DEV_DIR"}, name) {
			t.Errorf("%s is there", e)
		}
	}
}
