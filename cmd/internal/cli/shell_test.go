package cli

import (
	"os/exec"
	"strings"
	"testing"
)

// shellNames are names that somebody gives a file, or that somebody made up to harm.
var shellNames = []string{
	"plain.lvmpatch", "/dev/vg/lv", "/dev/mapper/my--vg-s--1", "a b", " a ", "a\tb", "a\nb", "it's",
	`say "hi"`, "$HOME", "`id`", `back\slash`,
	"-x", "--force", "-", "a;b", "a&b", "a|b", "a>b", "*", "?", "[a]", "{a,b}", "~", "~root", "#a",
	"a#b", "!!", "a!b", "=x", "x=y", "%1", "ä", "日本",
	"\x1b[31m", "\x7f1", "\n7", "bad\xffutf", "\u202e", "'\n'", `\n`, "$'x'", "(a)", "^", "",
}

// What is printed to be pasted reaches the program as it is, and is fit for a terminal.
func TestShellLine(t *testing.T) {
	line := "printf " + ShellNames(append([]string{"%s\\0"}, shellNames...)...)
	if OneLine(line) != line {
		t.Errorf("%q is no line for a terminal", line)
	}
	out, err := exec.Command("bash", "-c", line).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(got) != len(shellNames) {
		t.Fatalf("%d words, want %d", len(got), len(shellNames))
	}
	for i, want := range shellNames {
		if strings.HasPrefix(want, "-") {
			want = "./" + want
		}
		if got[i] != want {
			t.Errorf("%s is %q in a shell, want %q", ShellName(shellNames[i]), got[i], want)
		}
	}
}

// Names that need no quotes get none: people read them.
func TestShellPlain(t *testing.T) {
	for _, name := range []string{"disk.img", "/dev/vg/lv", "/media/usb/full-1.lvmpatch",
		"user@host:x", "a,b+c%d_e"} {
		if got := ShellName(name); got != name {
			t.Errorf("%s became %s", name, got)
		}
	}
}
