package input

import (
	"strings"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
)

// OrderHint says what to do about patches that do not follow one another. An order is
// proposed only if nothing speaks against it.
func OrderHint(e *apply.OrderError) string {
	switch {
	case len(e.Fits) > 0:
		var names []string
		for _, name := range e.Fits {
			names = append(names, cli.ShellName(name))
		}
		return "they would fit in this order: " + strings.Join(names, " ")
	case e.Clock:
		return "add the patches that are missing, the oldest first; " +
			"if you know better than the clock that none is, --trust-order takes them as they are and checks all else"
	}
	return "add the patches that are missing, the oldest first"
}
