package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// A UsageError is a command line that makes no sense.
type UsageError struct{ Message string }

// Error is the message.
func (e *UsageError) Error() string { return e.Message }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{Message: fmt.Sprintf(format, args...)}
}

// Advice is what to do about errors.
type Advice []struct {
	About error
	Hint  string
}

// For gives the first hint that is about err, if any is.
func (a Advice) For(err error) string {
	for _, known := range a {
		if errors.Is(err, known.About) {
			return known.Hint
		}
	}
	return ""
}

// PermissionHint is for those who may not do what root may.
func PermissionHint(err error) string {
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		return "run as root"
	}
	return ""
}

// An interruptedError is one that came after a signal asked the program to end, and most likely
// because of that.
type interruptedError struct{ err error }

// Error calls the end of the context by a name that users know.
func (e *interruptedError) Error() string {
	if !errors.Is(e.err, context.Canceled) {
		return "interrupted: " + e.err.Error()
	}
	return strings.Replace(e.err.Error(), context.Canceled.Error(), "interrupted", 1)
}

func (e *interruptedError) Unwrap() error { return e.err }

// explain turns an error into exit status, message and hint.
func explain(err error, c *Command) (status int, message, hint string) {
	var usage *UsageError
	if errors.As(err, &usage) {
		return StatusUsage, usage.Message, "see " + c.Name + " --help"
	}
	status = StatusFailed
	if c.Status != nil {
		status = c.Status(err)
	}
	var out *StdoutError
	switch {
	case errors.As(err, &out) && IsFull(err):
		hint = "free some space, or write it elsewhere"
	case c.Hint != nil:
		hint = c.Hint(err)
	}
	return status, err.Error(), hint
}
