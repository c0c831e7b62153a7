package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// catchSignals returns a context that the first signal to end the program ends. The second may be
// the same one, sent to the process and to its group, or by an impatient hand: what the first has
// begun to tidy up goes on. The third kills it, should it hang. A signal that whoever started the
// program has ignored, as nohup does, stays ignored.
func catchSignals() (ctx context.Context, stop func()) {
	// A closed pipe shall be an error like others, not a silent death.
	signal.Ignore(syscall.SIGPIPE)
	signals := ending()
	ctx, cancel := context.WithCancel(context.Background())
	caught, ended := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(caught, signals...)
	go func() {
		for range 2 {
			select {
			case <-caught:
				cancel()
			case <-ended:
				return
			}
		}
		signal.Stop(caught)
	}()
	return ctx, func() {
		signal.Stop(caught)
		close(ended)
		cancel()
	}
}

// ending are the signals to end the program.
func ending() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM}
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// Signals tells of each signal to end the program from now on, the first one too, which also ends
// the context of the command. None of them kills the program then, until stop is called.
func Signals() (each <-chan os.Signal, stop func()) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, ending()...)
	return caught, func() { signal.Stop(caught) }
}
