package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"lvmsync/format/durable"
)

// An Invocation is one run of a command: its options and what it tells the user. Warn, Note and the
// bar may be used by several goroutines.
type Invocation struct {
	*cli.Context // options and arguments

	name    string
	std     Streams
	out     *stdout
	quiet   bool
	verbose bool
	json    bool
	start   time.Time
	closing string
	summary any
	command string   // with its subcommand
	options []string // as they were given

	mu       sync.Mutex // for what follows, and for writing to standard error
	bar      *Bar
	warnings []string
}

func newInvocation(ctx context.Context, name string, std Streams) *Invocation {
	return &Invocation{name: name, std: std, out: &stdout{ctx: ctx, f: std.Out}, start: time.Now()}
}

func (inv *Invocation) begin(cc *cli.Context) {
	inv.Context = cc
	inv.quiet, inv.verbose, inv.json = cc.Bool("quiet"), cc.Bool("verbose"), cc.Bool("json")
}

// Line is the command line as it was given but for its arguments, and without the options named in
// less: to be printed and pasted.
func (inv *Invocation) Line(arguments []string, less ...string) string {
	words := []string{inv.command}
	for _, option := range inv.options {
		name, value, hasValue := strings.Cut(option, "=")
		if slices.Contains(less, strings.TrimLeft(name, "-")) {
			continue
		}
		if hasValue {
			name += "=" + ShellWord(value)
		}
		words = append(words, name)
	}
	return strings.Join(append(words, ShellNames(arguments...)), " ")
}

// Std returns the process's standard files.
func (inv *Invocation) Std() Streams { return inv.std }

// Elapsed is the time since the start.
func (inv *Invocation) Elapsed() time.Duration { return time.Since(inv.start) }

// Warn tells the user what stops nothing but should be known.
func (inv *Invocation) Warn(message string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.warnings = append(inv.warnings, message)
	if !inv.json {
		inv.print("warning: ", message)
	}
}

// Note tells the user what is only of interest with --verbose.
func (inv *Invocation) Note(format string, args ...any) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if inv.verbose && !inv.json {
		inv.print("", fmt.Sprintf(format, args...))
	}
}

// Say tells the user, before it begins, what will be done, unless they want to be told nothing.
func (inv *Invocation) Say(message string) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	if !inv.quiet && !inv.json {
		inv.print("", message)
	}
}

// Close sets what is said when all has gone well: the closing line, and the object that --json
// prints instead.
func (inv *Invocation) Close(line string, summary any) {
	inv.closing, inv.summary = line, summary
}

// endOutput makes what was written to standard output last. If that fails, nothing has gone well.
func (inv *Invocation) endOutput() error {
	err := inv.out.sync()
	if err != nil {
		inv.closing, inv.summary = "", nil
	}
	return err
}

// report is what --json prints, in this order.
type report struct {
	Program    string   `json:"program"`
	Command    string   `json:"command,omitempty"`
	Version    string   `json:"version"`
	ExitStatus int      `json:"exit_status"`
	Error      string   `json:"error,omitempty"`
	Hint       string   `json:"hint,omitempty"`
	Warnings   []string `json:"warnings,omitempty"`
	Seconds    float64  `json:"seconds"`
	Summary    any      `json:"summary,omitempty"`
}

// finish says how it ended and returns the exit status.
func (inv *Invocation) finish(err error, c *Command) int {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.bar.clear()
	r := report{Program: inv.name, Version: Version, Warnings: inv.warnings,
		Seconds: inv.Elapsed().Seconds(), Summary: inv.summary}
	_, r.Command, _ = strings.Cut(c.Name, " ")
	if err != nil {
		r.ExitStatus, r.Error, r.Hint = explain(err, c)
	}
	switch {
	case inv.json:
		text, _ := JSON(r) // of plain fields: can't fail
		if _, err := fmt.Fprintf(inv.std.Err, "%s\n", text); err != nil &&
			r.ExitStatus == StatusOK {
			err = fmt.Errorf("%w: %w; all else is done", ErrReport, durable.Cause(err))
			r.ExitStatus, r.Error, _ = explain(err, c)
			inv.print("error: ", r.Error) // it is shorter: there may be room
		}
	case err != nil:
		inv.print("error: ", r.Error)
		if r.Hint != "" {
			inv.print("hint: ", r.Hint)
		}
	case inv.closing != "" && !inv.quiet:
		inv.print("", inv.closing)
	}
	return r.ExitStatus
}

// print writes one line. The caller holds the lock.
func (inv *Invocation) print(kind, message string) {
	inv.bar.clear()
	fmt.Fprintf(inv.std.Err, "%s: %s%s\n", inv.name, kind, OneLine(message))
}

// OutWidth is the width of the terminal that standard output is, in columns; 0 if it is none.
func (inv *Invocation) OutWidth() int {
	width, _, err := term.GetSize(int(inv.std.Out.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// OutIsTerminal tells whether standard output is a terminal.
func (inv *Invocation) OutIsTerminal() bool { return term.IsTerminal(int(inv.std.Out.Fd())) }

// InIsTerminal tells whether standard input is a terminal.
func (inv *Invocation) InIsTerminal() bool { return term.IsTerminal(int(inv.std.In.Fd())) }
