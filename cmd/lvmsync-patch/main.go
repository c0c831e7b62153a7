// Command lvmsync-patch is described in docs/lvmsync-patch.8.
package main

import (
	"os"

	"lvmsync/cmd/internal/cli"
	"lvmsync/cmd/internal/patchcmd"
)

func main() { os.Exit(patchcmd.Main(os.Args, cli.StdStreams())) }
