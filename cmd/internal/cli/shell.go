package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ShellNames are the names of files as arguments, to be pasted: a shell takes them apart into just
// these.
func ShellNames(names ...string) string {
	var words []string
	for _, name := range names {
		words = append(words, ShellName(name))
	}
	return strings.Join(words, " ")
}

// ShellName is the name of a file as an argument, quoted for the shell. One that begins with a dash
// gets a "./" before it, for it is no option.
func ShellName(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return ShellWord(name)
}

// plainForShell are the characters, besides letters and digits, that mean nothing to a shell
// wherever they stand.
const plainForShell = "/._-+,:@%"

// ShellWord quotes a word for the shell if it has to be. What is not fit for a terminal is written
// as bash, ksh, zsh and POSIX 2024 read it: $'\n'.
func ShellWord(word string) string {
	plain, printable := word != "", utf8.ValidString(word)
	for _, r := range word {
		plain = plain && r < utf8.RuneSelf &&
			(unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(plainForShell, r))
		printable = printable && unicode.IsPrint(r)
	}
	switch {
	case plain:
		return word
	case printable:
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for len(word) > 0 {
		r, n := utf8.DecodeRuneInString(word)
		switch {
		case r == '\'' || r == '\\':
			b.WriteString(`\` + word[:n])
		case r != utf8.RuneError && unicode.IsPrint(r):
			b.WriteString(word[:n])
		default: // in three digits, so that no digit behind them is taken for one more
			for _, c := range []byte(word[:n]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		}
		word = word[n:]
	}
	return b.String() + "'"
}
