package e2e

import (
	"io/fs"
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
		checkOptions(t, program, string(help), section(manual(t, program), ".SH OPTIONS"))
	}
}

// Those of a program with subcommands have a section for each, and one for what all of them have.
func TestSubcommandManuals(t *testing.T) {
	const program = "lvmsync-patch"
	page := manual(t, program)
	help, err := exec.Command(program, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	common := section(page, ".SH OPTIONS")
	checkOptions(t, program, string(help), common)
	_, list, _ := strings.Cut(string(help), "Subcommands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var want []string
	for _, line := range strings.Split(list, "\n") {
		name := strings.Fields(line)[0]
		if name == "help" {
			continue
		}
		want = append(want, name)
		help, err := exec.Command(program, name, "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		checkOptions(t, program+" "+name, string(help), section(page, ".SS "+name)+common)
	}
	var got []string
	for _, line := range strings.Split(page, "\n") {
		if name, ok := strings.CutPrefix(line, ".SS "); ok {
			got = append(got, name)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("subcommands in --help (-) and in the manual page (+):\n%s", d)
	}
}

func manual(t *testing.T, program string) string {
	t.Helper()
	return string(mustRead(t, filepath.Join("../../../docs", program+".8")))
}

// section is what follows a heading, up to the next one.
func section(page, heading string) string {
	_, text, _ := strings.Cut(page, "\n"+heading+"\n")
	text, _, _ = strings.Cut(text, "\n.S") // .SH or .SS
	return text + "\n"
}

// checkOptions compares the options in a help text with those of a manual page.
func checkOptions(t *testing.T, command, help, page string) {
	t.Helper()
	_, options, _ := strings.Cut(help, "Options:")
	want := longOptions(options)
	got := longOptions(strings.ReplaceAll(onlyTags(page), `\-`, "-"))
	if d := cmp.Diff(want, got); d != "" || len(want) == 0 {
		t.Errorf("%s: options in --help (-) and in the manual page (+):\n%s", command, d)
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

// What docs/safety.md names as the test of a promise is there.
func TestSafetyNamesTests(t *testing.T) {
	const root = "../../.."
	tests := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".txtar"):
			tests[d.Name()] = true
		case strings.HasSuffix(path, "_test.go"):
			declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
			for _, m := range declared.FindAllStringSubmatch(string(mustRead(t, path)), -1) {
				tests[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`((?:Test|Fuzz)\\w+|\\w+\\.txtar)`")
	named := quoted.FindAllStringSubmatch(string(mustRead(t, root+"/docs/safety.md")), -1)
	if len(named) == 0 {
		t.Fatal("no test is named")
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("there is no test %s", m[1])
		}
	}
}
