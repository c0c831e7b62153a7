// Package patchcmd is the program lvmsync-patch.
package patchcmd

import (
	"cmp"
	"errors"

	"lvmsync/apply"
	"lvmsync/cmd/internal/archives"
	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/output"
	"lvmsync/cmd/internal/patchfile"
	"lvmsync/format"
	"lvmsync/format/volume"
)

// Main runs the program and returns its exit status.
func Main(args []string, std cli.Streams) int { return command().Main(args, std) }

// command is the program. Each subcommand has a file of its own.
func command() *cli.Command {
	return &cli.Command{
		Name:  "lvmsync-patch",
		Usage: "look at patches, check, merge and mount them, and make signatures of volumes",
		UsageText: "lvmsync-patch SUBCOMMAND [options] ARGUMENT...\n" +
			"lvmsync-patch help SUBCOMMAND",
		Description: "Nothing is written but what was asked for.\n\n" +
			exitStatuses + "; 4 a patch is not one, truncated or\n" +
			"corrupt; 5 patches do not follow one another, or some are missing (all\n" +
			"but info).",
		Commands: []*cli.Command{
			infoCommand(),
			verifyCommand(),
			mergeCommand(),
			pruneCommand(),
			signatureCommand(),
			listCommand(),
			mountCommand(),
		},
	}
}

const (
	exitStatuses        = "Exit status: 0 done; 1 failed; 2 wrong usage"
	exitStatusesOfPatch = exitStatuses + `; 4 the patch is not one, truncated or
corrupt.`
	exitStatusesOfChain = exitStatuses + `; 4 a patch is not one, truncated or
corrupt; 5 patches do not follow one another.`
)

// status is the exit status for an error of a subcommand.
func status(err error) int {
	switch {
	case patchfile.IsBad(err), errors.Is(err, volume.ErrLost):
		return cli.StatusBadPatch
	case errors.Is(err, apply.ErrWrongBase), archives.IsGap(err):
		return cli.StatusWrongBase
	}
	return cli.StatusFailed
}

// hint says what to do about an error of a subcommand.
func hint(err error) string {
	var damaged *apply.DamagedUndoError
	switch {
	case errors.As(err, &damaged):
		return "use a good copy of it; lvmsync-apply --force takes back what is whole of it, " +
			"with it alone, and says how much is missing"
	case patchfile.OrderHint(err) != "":
		return patchfile.OrderHint(err)
	case errors.Is(err, volume.ErrLost):
		return "lvmsync-dump --base compares with the archive itself, and sends what that has lost"
	case errors.Is(err, apply.ErrWrongBase):
		return "a patch between them is missing, or one of them is of another volume"
	}
	return cmp.Or(output.Hint(err), archives.Hint(err), patchfile.Hint(err))
}

// planned is how many bytes of extents the patches hold, for a progress bar; -1 if that isn't known
// beforehand.
func planned(headers ...format.Header) int64 {
	total := int64(0)
	for _, h := range headers {
		if h.Planned == nil {
			return -1
		}
		total += h.Planned.Bytes
	}
	return total
}
