package cli

import "testing"

func TestArguments(t *testing.T) {
	const none = `full false dry-run false level 1 output "" set false args `
	const full = `full true dry-run false level 1 output "" set false args `
	to := func(file, args string) string {
		return `full false dry-run false level 1 output "` + file + `" set true args ` + args
	}
	tests := map[string]struct {
		args []string
		want string
	}{
		"nothing":                    {nil, none + `[]`},
		"options first":              {[]string{"--full", "vg/lv"}, full + `["vg/lv"]`},
		"options last":               {[]string{"vg/lv", "--full"}, full + `["vg/lv"]`},
		"options between":            {[]string{"a", "--full", "b"}, full + `["a" "b"]`},
		"one dash":                   {[]string{"-full", "vg/lv"}, full + `["vg/lv"]`},
		"explicit value of a switch": {[]string{"--full=false", "a"}, none + `["a"]`},
		"short": {[]string{"a", "-n"},
			`full false dry-run true level 1 output "" set false args ["a"]`},
		"cluster": {[]string{"-qn", "a"},
			`full false dry-run true level 1 output "" set false args ["a"]`},
		"cluster with value": {[]string{"-no", "x", "a"},
			`full false dry-run true level 1 output "x" set true args ["a"]`},
		"value next":                {[]string{"a", "-o", "x", "b"}, to("x", `["a" "b"]`)},
		"value after equals sign":   {[]string{"a", "--output=x=y"}, to("x=y", `["a"]`)},
		"value attached":            {[]string{"-ox", "a"}, to("x", `["a"]`)},
		"value attached, not ASCII": {[]string{"-oä", "a"}, to("ä", `["a"]`)},
		"value after one dash":      {[]string{"-o=x"}, to("x", `[]`)},
		"empty value":               {[]string{"--output="}, to("", `[]`)},
		"empty value next":          {[]string{"-o", ""}, to("", `[]`)},
		"value is a dash":           {[]string{"-o", "-", "a"}, to("-", `["a"]`)},
		"value begins with a dash":  {[]string{"a", "-o", "--full"}, to("--full", `["a"]`)},
		"value is two dashes":       {[]string{"-o", "--", "a"}, to("--", `["a"]`)},
		"the last value counts":     {[]string{"-o", "x", "--output", "y"}, to("y", `[]`)},
		"dash is an argument":       {[]string{"-", "--full"}, full + `["-"]`},
		"empty argument":            {[]string{"", "a"}, none + `["" "a"]`},
		"only arguments after dashes": {[]string{"--full", "--", "-n", "--", "-o"}, full +
			`["-n" "--" "-o"]`},
		"dashes at the end":         {[]string{"a", "--"}, none + `["a"]`},
		"a file named h":            {[]string{"h"}, none + `["h"]`},
		"a file named help":         {[]string{"help", "--full"}, full + `["help"]`},
		"a file named as an option": {[]string{"full", "--full"}, full + `["full"]`},
		"a number": {[]string{"--level", "19"},
			`full false dry-run false level 19 output "" set false args []`},
		"a negative number": {[]string{"--level", "-3"},
			`full false dry-run false level -3 output "" set false args []`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := result{out: test.want}
			if got := runCommand(t, show, test.args...); got != want {
				t.Errorf("%q gave\n%+v, want\n%+v", test.args, got, want)
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"unknown option":        {[]string{"--bogus", "a"}, `unknown option --bogus`},
		"unknown with value":    {[]string{"a", "--bogus=1"}, `unknown option --bogus=1`},
		"unknown short":         {[]string{"-x"}, `unknown option -x`},
		"unknown in a cluster":  {[]string{"-nx"}, `unknown option -nx`},
		"a number is no option": {[]string{"-5"}, `unknown option -5`},
		"broken UTF-8":          {[]string{"-n\xff\xfe"}, "unknown option -n\uFFFD\uFFFD"},
		"control characters": {[]string{"--a\x1b[31m\nb\u202e"},
			`unknown option --a?[31m; b?`},
		"no value":              {[]string{"a", "-o"}, `option -o needs a value`},
		"no value, long":        {[]string{"a", "--level"}, `option --level needs a value`},
		"no value in a cluster": {[]string{"-no"}, `option -o needs a value`},
		"junk for a number": {[]string{"--level", "fast"},
			`invalid value "fast" for option --level: parse error`},
		"too large a number": {[]string{"--level=99999999999999999999"},
			`invalid value "99999999999999999999" for option --level: value out of range`},
		"value of a switch": {[]string{"--full=perhaps"},
			`invalid boolean value "perhaps" for option --full: parse error`},
		"completion": {[]string{"--generate-bash-completion"},
			`unknown option --generate-bash-completion`},
		"completion at the end": {[]string{"a", "--generate-bash-completion"},
			`unknown option --generate-bash-completion`},
		"help beside unknown": {[]string{"--help", "--bogus"}, `unknown option --bogus`},
		"triple dash": {[]string{"---full"},
			`unknown option ---full: did you mean --full?`},
		"mistyped": {[]string{"--fll"}, `unknown option --fll: did you mean --full?`},
		"mistyped, with a value": {[]string{"--lebel=1"},
			`unknown option --lebel=1: did you mean --level?`},
		"mistyped, with one dash": {[]string{"-dryrun"},
			`unknown option -dryrun: did you mean --dry-run?`},
		"the program's own check":  {[]string{"--level", "7"}, `too much`},
		"an option without a name": {[]string{"--=x"}, `unknown option --=x`},
	}
	run := runUnless(7, Usagef("too %s", "much"))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := result{status: StatusUsage, err: "lvmsync-test: error: " + test.want +
				"\nlvmsync-test: hint: see lvmsync-test --help\n"}
			if got := runCommand(t, run, test.args...); got != want {
				t.Errorf("%q gave\n%+v, want\n%+v", test.args, got, want)
			}
		})
	}
}
