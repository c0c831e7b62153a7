package apply

// An outcome is what a goroutine has come to; nil if there was none.
type outcome chan error

// begin has do done by a goroutine.
func begin(do func() error) outcome {
	o := make(outcome, 1)
	go func() { o <- do() }()
	return o
}

// wait waits for the outcome, which comes once.
func (o *outcome) wait() error {
	if *o == nil {
		return nil
	}
	err := <-*o
	*o = nil
	return err
}
