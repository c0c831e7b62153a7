package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// A commandLine is what somebody typed, sorted. The library takes everything after the first
// argument for another one, but people add options at the end; nor does it know "-nv" or "-oFILE".
type commandLine struct {
	flags     []cli.Flag
	left      []string // not looked at yet
	options   []string // each as --name or --name=value
	arguments []string
}

// sortArgs tells options from arguments. Behind "--" all are arguments, and so is "-".
func sortArgs(flags []cli.Flag, args []string) (*commandLine, error) {
	l := &commandLine{flags: flags, left: args}
	for len(l.left) > 0 {
		arg := l.left[0]
		l.left = l.left[1:]
		switch {
		case arg == "--":
			l.arguments = append(l.arguments, l.left...)
			return l, nil
		case isArgument(arg):
			l.arguments = append(l.arguments, arg)
		default:
			if err := l.addOption(arg); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

// isArgument tells an argument from an option.
func isArgument(arg string) bool { return arg == "-" || !strings.HasPrefix(arg, "-") }

// addOption takes --name, --name=value, --name with the value in the next argument, the same with
// one dash, or a cluster of short ones.
func (l *commandLine) addOption(arg string) error {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
	switch f := l.find(name); {
	case f != nil && hasValue:
		l.options = append(l.options, "--"+f.Names()[0]+"="+value)
		return nil
	case f != nil:
		return l.add(f, arg)
	case strings.HasPrefix(arg, "--"):
		return l.unknown(arg, name)
	}
	return l.addCluster(arg)
}

// addCluster takes short options behind one dash, of which the last may have a value: -nv, -noFILE,
// -no FILE.
func (l *commandLine) addCluster(arg string) error {
	for i, letter := range arg[1:] {
		f := l.find(string(letter))
		if f == nil {
			return l.unknown(arg, strings.TrimPrefix(arg, "-"))
		}
		if rest := arg[1+i+len(string(letter)):]; takesValue(f) && rest != "" {
			l.options = append(l.options, "--"+f.Names()[0]+"="+rest)
			return nil
		}
		if err := l.add(f, "-"+string(letter)); err != nil {
			return err
		}
	}
	return nil
}

// unknown is the error about an option that there is not, with the long one that its name is most
// like.
func (l *commandLine) unknown(arg, name string) error {
	best, edits := "", len(name)
	for _, f := range l.flags {
		known := f.Names()[0]
		if n := smetrics.WagnerFischer(name, known, 1, 1, 1); alike(name, known) && n < edits {
			best, edits = known, n
		}
	}
	if best == "" {
		return Usagef("unknown option %s", arg)
	}
	return Usagef("unknown option %s: did you mean --%s?", arg, best)
}

// add adds the option f, written as arg, with the next argument as its value if it takes one,
// whatever that looks like.
func (l *commandLine) add(f cli.Flag, arg string) error {
	option := "--" + f.Names()[0]
	if takesValue(f) {
		if len(l.left) == 0 {
			return Usagef("option %s needs a value", arg)
		}
		option += "=" + l.left[0]
		l.left = l.left[1:]
	}
	l.options = append(l.options, option)
	return nil
}

func (l *commandLine) find(name string) cli.Flag {
	for _, f := range l.flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}
