// Package cli is what the lvmsync programs share: options after arguments, errors in one line, exit
// statuses, signals, progress, the closing line.
//
// Rules of what a user gets to read: all of it goes to standard error but what was asked for. One
// line a message, lower case, no full stop; first the name of the program, then what was being
// done, with which file or device, what is wrong; a hint line says what to do about it.
package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Version of the programs.
const Version = "0.1.0"

// Exit statuses of all programs (see the manual pages).
const (
	StatusOK        = 0 // done, durable
	StatusFailed    = 1 // failed; the destination is as it was
	StatusUsage     = 2 // wrong usage
	StatusPartial   = 3 // failed; the destination is part-way
	StatusBadPatch  = 4 // the patch is not one, truncated or corrupt
	StatusWrongBase = 5 // the destination doesn't hold the patch's base
)

// A Command is one of the programs, or a subcommand of one.
type Command struct {
	Name        string
	Usage       string // in half a line
	UsageText   string // the forms of the command line
	Description string
	Flags       []cli.Flag
	// Commands are the subcommands. A program that has some does nothing itself.
	Commands []*Command
	// Run does the work. What it returns is reported; it must not exit.
	Run func(ctx context.Context, inv *Invocation) error
	// Status is the exit status for an error of Run that is no usage error; StatusFailed if it
	// isn't set.
	Status func(error) int
	// Hint, if set, says what to do about an error, or nothing.
	Hint func(error) string
}

// Streams are a process's standard files.
type Streams struct {
	In, Out, Err *os.File
}

// StdStreams are this process's own.
func StdStreams() Streams { return Streams{os.Stdin, os.Stdout, os.Stderr} }

// Main runs the command with the arguments of a process, its name first, and returns the exit
// status.
func (c *Command) Main(args []string, std Streams) int {
	if err := checkLimits(); err != nil { // before anything else that may need what they deny
		inv := newInvocation(context.Background(), c.Name, std)
		inv.json = slices.Contains(args, "--json")
		return inv.finish(err, c)
	}
	// Data pass through buffers that are used again. What else lives, such as the set of changed
	// chunks, can be large and shall not take twice its size.
	debug.SetGCPercent(25)
	ctx, stop := catchSignals()
	defer stop()
	widen(std.In)
	widen(std.Out)
	args = args[min(1, len(args)):]
	inv := newInvocation(ctx, c.Name, std)
	inv.json = slices.Contains(args, "--json") // for an error in what else is there
	chosen, args, err := c.pick(args)
	if err == nil {
		err = chosen.run(ctx, inv, args)
	}
	if err == nil {
		err = inv.endOutput()
	}
	if err != nil && ctx.Err() != nil {
		err = &interruptedError{err}
	}
	return inv.finish(err, chosen)
}

// run does what the arguments ask for. What is printed because it was asked for goes to standard
// output.
func (c *Command) run(ctx context.Context, inv *Invocation, args []string) error {
	app := c.app(ctx, inv)
	line, err := sortArgs(app.Flags, args)
	if err != nil {
		return err
	}
	// The library would take an argument beside --help for a topic.
	switch {
	case slices.Contains(line.options, "--help"):
		app.Commands = c.listed() // not before: the library would run them
		return printHelp(inv.out, app)
	case slices.Contains(line.options, "--version"):
		_, err := fmt.Fprintln(inv.out, inv.name, Version)
		return err
	}
	inv.command, inv.options = c.Name, line.options
	args = slices.Concat([]string{c.Name}, line.options, []string{"--"}, line.arguments)
	return app.Run(args)
}

// app describes the command to the library, which must neither exit nor print anything by itself:
// the patch goes to standard output.
func (c *Command) app(ctx context.Context, inv *Invocation) *cli.App {
	return &cli.App{
		Name:           c.Name,
		Usage:          c.Usage,
		UsageText:      c.UsageText,
		Description:    c.Description,
		Flags:          slices.Concat(c.Flags, commonFlags()),
		Writer:         io.Discard,
		ErrWriter:      io.Discard,
		HideHelp:       true, // else a file named h asks for help
		HideVersion:    true,
		ExitErrHandler: func(*cli.Context, error) {}, // else it may exit
		OnUsageError: func(_ *cli.Context, err error, _ bool) error {
			// For example: invalid value "x" for flag -level: parse error
			names := strings.NewReplacer(
				" for flag -", " for option --", " for -", " for option --")
			return &UsageError{Message: names.Replace(err.Error())}
		},
		Action: func(cc *cli.Context) error {
			inv.begin(cc)
			if c.Run == nil {
				return c.missing()
			}
			return c.Run(ctx, inv)
		},
	}
}

// commonFlags are the options that all commands have.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		Switch("quiet", "print errors and warnings only", "q"),
		Switch("verbose", "tell more of what is being done", "v"),
		Switch("json", "print one JSON object to standard error instead of messages"),
		Switch("help", "print this help", "h"),
		Switch("version", "print the version"),
	}
}

// Switch is an option without a value, with its short names, if it has any.
func Switch(name, usage string, short ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Aliases: short, Usage: usage, DisableDefaultText: true}
}

// helpTemplate is shorter than the library's.
const helpTemplate = `{{.Name}}: {{.Usage}}

Usage:
   {{wrap .UsageText 3}}

{{.Description}}
{{if .Commands}}
Subcommands:{{template "visibleCommandTemplate" .}}
{{end}}
Options:{{template "visibleFlagTemplate" .}}
`

func printHelp(w io.Writer, app *cli.App) error {
	var text bytes.Buffer
	app.Setup()
	cli.HelpPrinter(&text, helpTemplate, app)
	_, err := w.Write(text.Bytes())
	return err
}
