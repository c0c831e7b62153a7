package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// helpCommand is a subcommand of every program that has others.
const helpCommand = "help"

// pick finds the subcommand that args name, and returns it with what it is to be run with. Options
// that all commands have may stand before its name. If none is named, the program itself is
// returned, to answer to --help, or with an error.
func (c *Command) pick(args []string) (*Command, []string, error) {
	if len(c.Commands) == 0 {
		return c, args, nil
	}
	at := slices.IndexFunc(args, isArgument)
	if at < 0 {
		return c, args, nil
	}
	if _, err := sortArgs(commonFlags(), args[:at]); err != nil {
		return c, nil, err
	}
	name, rest := args[at], slices.Concat(args[:at], args[at+1:])
	if name == helpCommand {
		asked, _, err := c.pick(rest)
		return asked, []string{"--help"}, err
	}
	for _, sub := range c.Commands {
		if sub.Name == name {
			named := *sub
			named.Name = c.Name + " " + name
			return &named, rest, nil
		}
	}
	return c, nil, c.unknown(name)
}

// unknown is the error about a name that is none of a subcommand.
func (c *Command) unknown(name string) error {
	for _, known := range append(c.names(), helpCommand) {
		if alike(name, known) {
			return Usagef("unknown subcommand %q: did you mean %s? Known are %s", name, known,
				strings.Join(c.names(), ", "))
		}
	}
	return Usagef("unknown subcommand %q: known are %s", name, strings.Join(c.names(), ", "))
}

// missing is the error about a command line without a subcommand.
func (c *Command) missing() error {
	return Usagef("no subcommand given: known are %s", strings.Join(c.names(), ", "))
}

func (c *Command) names() []string {
	var names []string
	for _, sub := range c.Commands {
		names = append(names, sub.Name)
	}
	return names
}

// alike tells whether two edits of a letter, or fewer, lead from one name to the other, or whether
// it was cut short.
func alike(typed, known string) bool {
	typed = strings.ToLower(typed)
	return len(typed) > 1 && strings.HasPrefix(known, typed) ||
		smetrics.WagnerFischer(typed, known, 1, 1, 1) <= 2
}

// listed describes the subcommands to the library, for the help text.
func (c *Command) listed() []*cli.Command {
	if len(c.Commands) == 0 {
		return nil
	}
	var list []*cli.Command
	for _, sub := range c.Commands {
		list = append(list, &cli.Command{Name: sub.Name, Usage: sub.Usage})
	}
	return append(list, &cli.Command{Name: helpCommand,
		Usage: fmt.Sprintf("print the help of %s, or of a subcommand", c.Name)})
}
