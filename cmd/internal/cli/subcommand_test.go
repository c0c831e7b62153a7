package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// testProgram has the test command, under two names, as subcommands.
func testProgram(run func(context.Context, *Invocation) error) *Command {
	look, mend := testCommand(run), testCommand(run)
	look.Name, look.UsageText = "look", "lvmsync-many look [options] NAME..."
	mend.Name, mend.Usage = "mend", "make things right"
	return &Command{
		Name:        "lvmsync-many",
		Usage:       "do many things",
		UsageText:   "lvmsync-many SUBCOMMAND [options] ARGUMENT...",
		Description: "It depends.",
		Commands:    []*Command{look, mend},
	}
}

func TestSubcommands(t *testing.T) {
	const none, full = `full false dry-run false level 1 output "" set false args `,
		`full true dry-run false level 1 output "" set false args `
	tests := map[string]string{
		"look a b":         none + `["a" "b"]`,
		"look a --full":    full + `["a"]`,
		"-q look --full":   full + `[]`,
		"-qv mend -- -a":   none + `["-a"]`,
		"mend look":        none + `["look"]`,
		"look help":        none + `["help"]`,
		"look h":           none + `["h"]`,
		"-- look --full":   none + `["--full"]`,
		"look -":           none + `["-"]`,
		"look look --full": full + `["look"]`,
	}
	for args, want := range tests {
		if got := runIn(t, testProgram(show), strings.Fields(args)...); got != (result{out: want}) {
			t.Errorf("%s gave\n%+v, want\n%s", args, got, want)
		}
	}
}

func TestSubcommandUsageErrors(t *testing.T) {
	const known, seeProgram, seeLook = "known are look, mend", "see lvmsync-many --help",
		"see lvmsync-many look --help"
	tests := map[string]struct{ message, hint string }{
		"":           {"no subcommand given: " + known, seeProgram},
		"-q":         {"no subcommand given: " + known, seeProgram},
		"--":         {"no subcommand given: " + known, seeProgram},
		"frobnicate": {`unknown subcommand "frobnicate": ` + known, seeProgram},
		"-":          {`unknown subcommand "-": ` + known, seeProgram},
		"l x":        {`unknown subcommand "l": ` + known, seeProgram},
		"loook x": {`unknown subcommand "loook": did you mean look? Known are look, mend`,
			seeProgram},
		"LOOK": {`unknown subcommand "LOOK": did you mean look? Known are look, mend`,
			seeProgram},
		"hlep": {`unknown subcommand "hlep": did you mean help? Known are look, mend`,
			seeProgram},
		"me --bogus --full": {`unknown subcommand "me": did you mean mend? Known are look, mend`,
			seeProgram},
		"help frobnicate": {`unknown subcommand "frobnicate": ` + known, seeProgram},
		"--full look":     {"unknown option --full", seeProgram},
		"--bogus":         {"unknown option --bogus", seeProgram},
		"look --bogus":    {"unknown option --bogus", seeLook},
		"look -o":         {"option -o needs a value", seeLook},
		"look --level 7":  {"too much", seeLook},
	}
	for args, want := range tests {
		got := runIn(t, testProgram(runUnless(7, Usagef("too much"))), strings.Fields(args)...)
		text := fmt.Sprintf("lvmsync-many: error: %s\nlvmsync-many: hint: %s\n", want.message,
			want.hint)
		if got != (result{status: StatusUsage, err: text}) {
			t.Errorf("%q gave\n%+v, want\n%s", args, got, text)
		}
	}
}

func TestSubcommandHelp(t *testing.T) {
	never := func(context.Context, *Invocation) error { return errTest }
	program := []string{"lvmsync-many: do many things",
		"\n   look  test what programs share\n   mend  make things right\n   help ", "--json"}
	look := []string{"lvmsync-many look: test what", "\n   lvmsync-many look [options] NAME...\n",
		"--output FILE, -o FILE", "--json"}
	tests := map[string][]string{
		"--help": program, "-h": program, "help": program, "help --help": program,
		"help help": program, "-q help": program, "help -q": program,
		"look --help": look, "look x -h": look, "--help look": look, "help look": look,
		"help look x --bogus": look, "help -- look": look,
		"--version": {"lvmsync-many " + Version}, "look --version": {"lvmsync-many " + Version},
		"--version look x": {"lvmsync-many " + Version},
	}
	for args, wants := range tests {
		got := runIn(t, testProgram(never), strings.Fields(args)...)
		if got.status != 0 || got.err != "" {
			t.Errorf("%s: status %d, error %q", args, got.status, got.err)
		}
		for _, want := range wants {
			if !strings.Contains(got.out, want) {
				t.Errorf("%s: %q is not in\n%s", args, want, got.out)
			}
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if got := testProgram(never).Main([]string{"x", "--help"},
		Streams{os.Stdin, full, full}); got != StatusFailed {
		t.Errorf("into a full device: status %d", got)
	}
}

func TestSubcommandJSON(t *testing.T) {
	for args, command := range map[string]string{"look a --json": "look",
		"--json look --level 9": "look", "bogus --json": "", "--json": ""} {
		got := runIn(t, testProgram(runUnless(9, errTest)), strings.Fields(args)...)
		var r report
		if err := json.Unmarshal([]byte(got.err), &r); err != nil || r.Program != "lvmsync-many" ||
			r.Command != command || r.ExitStatus != got.status {
			t.Errorf("%s gave %+v (%v)", args, got, err)
		}
	}
}

func TestAlike(t *testing.T) {
	for _, tt := range []struct {
		typed, known string
		want         bool
	}{
		{"info", "info", true}, {"INFO", "info", true}, {"inof", "info", true},
		{"nfo", "info", true},
		{"", "abc", false}, {"", "ab", true}, {"in", "info", true}, {"i", "info", false},
		{"verifies", "verify", false}, {"kitten", "sitting", false}, {"verifiy", "verify", true},
	} {
		if got := alike(tt.typed, tt.known); got != tt.want {
			t.Errorf("%q, %q: %t, want %t", tt.typed, tt.known, got, tt.want)
		}
	}
}
