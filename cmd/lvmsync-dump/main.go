// Command lvmsync-dump is described in docs/lvmsync-dump.8.
package main

import (
	"os"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/dumpcmd"
)

func main() { os.Exit(dumpcmd.Main(os.Args, cli.StdStreams())) }
