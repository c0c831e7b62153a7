package e2e

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The manual pages describe exactly the options that --help lists.
func TestManuals(t *testing.T) {
	for _, program := range []string{"lvmsync-dump", "lvmsync-apply"} {
		help, err := exec.Command(program, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		page := string(mustRead(t, filepath.Join("../../../docs", program+".8")))
		_, page, _ = strings.Cut(page, ".SH OPTIONS")
		page, _, _ = strings.Cut(page, ".SH EXIT STATUS")
		_, options, _ := strings.Cut(string(help), "Options:")
		want := longOptions(options)
		got := longOptions(strings.ReplaceAll(onlyTags(page), `\-`, "-"))
		if d := cmp.Diff(want, got); d != "" || len(want) == 0 {
			t.Errorf("%s: options in --help (-) and in the manual page (+):\n%s", program, d)
		}
	}
}

// onlyTags keeps the line that follows each ".TP": the option that is described.
func onlyTags(page string) string {
	var tags []string
	lines := strings.Split(page, "\n")
	for i, line := range lines[:len(lines)-1] {
		if line == ".TP" {
			tags = append(tags, lines[i+1])
		}
	}
	return strings.Join(tags, "\n")
}

var longOption = regexp.MustCompile(`--[a-z][a-z-]*`)

func longOptions(text string) []string {
	var found []string
	for _, line := range strings.Split(text, "\n") {
		if o := longOption.FindString(line); o != "" {
			found = append(found, o)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
