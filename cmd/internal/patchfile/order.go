package patchfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
)

// WithLine lets [OrderHint] propose whole command lines for an error about the order of patches;
// destination is what stands behind those, if anything does.
func WithLine(inv *cli.Invocation, destination []string, err error) error {
	if err == nil {
		return nil
	}
	return &lineError{err, func(patches []string, less ...string) string {
		return inv.Line(slices.Concat(patches, destination), less...)
	}}
}

type lineError struct {
	error
	line func(patches []string, less ...string) string
}

func (e *lineError) Unwrap() error { return e.error }

// lineOf is a command line with those patches; no more than their names if none is known.
func lineOf(err error, patches []string, less ...string) string {
	var line *lineError
	if errors.As(err, &line) {
		return line.line(patches, less...)
	}
	return cli.ShellNames(patches...)
}

// OrderHint says what to do about patches that do not follow one another, if that is what err is
// about. An order is proposed only if nothing speaks against it.
func OrderHint(err error) string {
	var alone *apply.AloneError
	var order *apply.OrderError
	switch {
	case errors.As(err, &alone):
		var lines []string
		for _, name := range alone.OneByOne {
			// each would need a file of its own
			lines = append(lines, lineOf(err, []string{name}, "undo"))
		}
		return "one by one they can be used, in this order: " + strings.Join(lines, " && ")
	case !errors.As(err, &order):
		return ""
	case order.Twice != "":
		return fmt.Sprintf("name each patch once: %s and %s are the same", order.Twice, order.After)
	case len(order.Fits) > 0:
		return "by names and times they would fit in this order: " + lineOf(err, order.Fits)
	case order.Smaller:
		return fmt.Sprintf("none is missing: take those before %s by themselves, and then it and "+
			"those behind it, for a destination does not become smaller", order.After)
	case order.Clock:
		return "add the patches that are missing, the oldest first; " +
			"if you know better than the clock that none is, --trust-order takes them as they " +
			"are and checks all else"
	}
	return "add the patches that are missing, the oldest first; of undo patches the newest first"
}
