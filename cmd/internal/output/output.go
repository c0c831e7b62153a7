// Package output writes what a program makes to standard output, or to the file that
// the option -o names.
package output

import (
	"context"
	"errors"
	"io"
	"os"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/cmd/internal/cli"
	"lvmsync/dump"
)

// Flag is the option for it. What is "patch" or the like.
func Flag(what string) ucli.Flag {
	return &ucli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the " + what + " to `FILE`, which appears whole or not at all"}
}

// Check checks how the program was called: what is made is not for a terminal.
func Check(inv *cli.Invocation, what string) error {
	switch {
	case inv.IsSet("output") && inv.String("output") == "":
		return cli.Usagef("--output needs the name of a file")
	case toStdout(inv) && inv.OutIsTerminal():
		return cli.Usagef("a %s is not written to a terminal: use -o FILE or a pipe", what)
	}
	return nil
}

func toStdout(inv *cli.Invocation) bool {
	return !inv.IsSet("output") || inv.String("output") == "-"
}

// Write has do write. A file is durable then, and is there only if do succeeds; it
// must be none of the sources.
func Write(ctx context.Context, inv *cli.Invocation, sources []string, do func(io.Writer) error) error {
	if toStdout(inv) {
		return do(cli.InterruptibleWriter(ctx, inv.Std().Out))
	}
	path := inv.String("output")
	if out, err := os.Stat(path); err == nil {
		for _, p := range sources {
			if st, err := os.Stat(p); err == nil && os.SameFile(st, out) {
				return cli.Usagef("%s is source and output at once", path)
			}
		}
	}
	out, err := dump.CreateOutput(path)
	if err != nil {
		return err
	}
	if err := do(out); err != nil {
		return errors.Join(err, out.Cleanup())
	}
	return out.Commit()
}
