// Command lvmsync-apply is described in docs/lvmsync-apply.8.
package main

import (
	"os"

	"lvmsync/cmd/internal/applycmd"
	"lvmsync/cmd/internal/cli"
)

func main() { os.Exit(applycmd.Main(os.Args, cli.StdStreams())) }
