package patchcmd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	ucli "github.com/urfave/cli/v2"

	"lvmsync/apply"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/cmd/internal/prune"
	"lvmsync/format/archive"
	"lvmsync/format/archive/retention"
	"lvmsync/format/merge"
)

const pruneDescription = "" +
	`At least one rule must be given; a state is kept if any rule keeps it, and the newest of
a volume is in any case. Patches of states that are not kept are merged into the next one
that is, whose file then has them all: of the oldest, the full patch, if there was one.
What merged patches replace goes once they are durable and were read back. Undo patches and
foreign files are left alone. So are all patches of a volume of which some are missing, or
a file can't be used, or in which it is in doubt what follows what; then the exit status
tells, once all else is done.

` + exitStatusesOfChain

func pruneCommand() *cli.Command {
	count := func(name, what string) ucli.Flag {
		return &ucli.StringFlag{Name: "keep-" + name, Usage: "keep " + what}
	}
	return &cli.Command{
		Name:        "prune",
		Usage:       "keep some states of a folder of patches, and merge the patches of the others",
		UsageText:   "lvmsync-patch prune [options] FOLDER",
		Description: pruneDescription,
		Flags: []ucli.Flag{
			count("last", "the newest `N` states; here and below N may be unlimited"),
			count("hourly", "the newest state of each of the last `N` hours that have one"),
			count("daily", "the newest state of each of the last `N` days that have one"),
			count("weekly", "the newest state of each of the last `N` weeks that have one"),
			count("monthly", "the newest state of each of the last `N` months that have one"),
			count("yearly", "the newest state of each of the last `N` years that have one"),
			&ucli.StringFlag{Name: "keep-within", Usage: "keep what is less than `TIME` older " +
				"than the newest state, such as 30d or 2y5m7d3h"},
			cli.Switch("dry-run", "change nothing, tell what would be done", "n"),
		},
		Run:    runPrune,
		Status: status,
		Hint:   pruneHint,
	}
}

// policyOf reads the rules.
func policyOf(inv *cli.Invocation) (p retention.Policy, err error) {
	for name, to := range map[string]*int{"keep-last": &p.Last, "keep-hourly": &p.Hourly,
		"keep-daily": &p.Daily, "keep-weekly": &p.Weekly, "keep-monthly": &p.Monthly,
		"keep-yearly": &p.Yearly} {
		text := inv.String(name)
		switch n, err := strconv.Atoi(text); {
		case !inv.IsSet(name):
		case text == "unlimited":
			*to = retention.Unlimited
		case err != nil || n < retention.Unlimited:
			return p, cli.Usagef("--%s %q is neither a number nor \"unlimited\"", name, text)
		default:
			*to = n
		}
	}
	if inv.IsSet("keep-within") {
		if p.Within, err = retention.ParseSpan(inv.String("keep-within")); err != nil {
			return p, cli.Usagef("--keep-within: %v", err)
		}
	}
	if p.IsZero() {
		return p, cli.Usagef("no rule says what to keep: give --keep-daily 14 or the like")
	}
	return p, nil
}

func runPrune(ctx context.Context, inv *cli.Invocation) error {
	policy, err := policyOf(inv)
	folder := inv.Args().First()
	switch {
	case err != nil:
		return err
	case inv.NArg() != 1:
		return cli.Usagef("one folder expected")
	case !isFolder(folder):
		if _, err := os.Stat(folder); err != nil {
			return err
		}
		return cli.Usagef("%s is no folder", folder)
	}
	locked := false
	if !inv.Bool("dry-run") {
		lock, err := output.Lock(inv, folder, true)
		if err != nil {
			return err
		}
		defer lock.Unlock()
		locked = lock != nil
	}
	a, err := archive.Read(ctx, folder)
	if err != nil {
		return err
	}
	if err := nothing(a, folder); err != nil {
		return err
	}
	o := retention.Options{Policy: policy, Now: time.Now()}
	t := &teller{inv: inv, plan: retention.New(a, o)}
	if locked || inv.Bool("dry-run") {
		t.tidy(prune.Leftovers(a))
	}
	return t.carryOut(ctx, a)
}

// nothing is the error about a folder that has no patch to look at.
func nothing(a *archive.Archive, folder string) error {
	if len(a.Volumes) > 0 {
		return nil
	}
	for _, f := range a.Files {
		if f.Bad() {
			return fmt.Errorf("no patch in %s can be used, such as %s: %w", folder, f.Path, f.Err)
		}
	}
	return fmt.Errorf("%w in %s", errNothing, folder)
}

// tidy has leftovers of a killed run removed. They are not among what is left alone.
func (t *teller) tidy(leftovers []string) {
	t.leftovers = leftovers
	t.plan.Left = slices.DeleteFunc(t.plan.Left, func(l retention.Left) bool {
		return slices.Contains(leftovers, l.Path)
	})
}

// carryOut does what is planned, unless it's a dry run, and tells of it.
func (t *teller) carryOut(ctx context.Context, a *archive.Archive) error {
	t.plans()
	if t.inv.Bool("dry-run") {
		line, done := t.would()
		return t.end(nil, line, done)
	}
	if err := prune.TakeAway(t.leftovers); err != nil {
		return err
	}
	bar := t.inv.NewBar()
	defer bar.Clear()
	done, err := prune.Run(ctx, a, t.plan, prune.Options{
		Made: merge.Made{Tool: "lvmsync-patch", ToolVersion: cli.Version},
		Warn: t.inv.Warn,
		Did: func(s retention.Step, written int64) {
			bar.Clear()
			t.step(s, fmt.Sprintf("%s written", cli.Bytes(written)))
		},
		Progress: func(stage apply.Stage, done int64) { bar.Set(string(stage), done, -1) },
	})
	return t.end(err, fmt.Sprintf("%d patches merged to %d, %d files removed; %s read, %s written, "+
		"%s won in %s", done.Merged, done.Made, done.Removed+len(t.leftovers), cli.Bytes(done.Read),
		cli.Bytes(done.Written), signed(done.Won), cli.Seconds(t.inv.Elapsed())), done)
}

// end says what was done, and returns the error that ended it, or that about what is left alone.
func (t *teller) end(err error, line string, done prune.Done) error {
	if err == nil && t.err != nil {
		return t.err
	}
	t.inv.Close(line, t.object(done))
	if err == nil {
		err = aloneIn(t.plan)
	}
	if err != nil {
		t.inv.Say(line)
	}
	return err
}
