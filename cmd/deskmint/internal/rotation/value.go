package rotation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// maxSecret is far longer than any secret. Longer input is the wrong file.
const maxSecret = 64 << 10

// ReadValue reads a new value of the secret from standard input. If that is a terminal, ReadValue
// writes a prompt. It removes one line end. It leaves any further line ends to the check of the
// value, which reports them. It first checks that the store is writable, so that the operator
// doesn't type the secret in vain.
func (op *Operation) ReadValue(ctx context.Context, in io.Reader, prompt io.Writer) ([]byte, error) {
	if err := op.Writable(ctx); err != nil {
		return nil, err
	}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return promptSecret(ctx, f, prompt, op.name)
	}
	value, err := io.ReadAll(io.LimitReader(in, maxSecret+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case len(value) == 0:
		return nil, errors.New("standard input is empty: pipe the secret in, or run this in a terminal to get a " +
			"prompt")
	case len(value) > maxSecret:
		return nil, fmt.Errorf("standard input holds more than %d KiB: that is no secret", maxSecret>>10)
	}
	if line, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		value = bytes.TrimSuffix(line, []byte("\r"))
	}
	return value, nil
}

// promptSecret reads a secret from the terminal without an echo. An interrupt ends ctx, and then
// promptSecret restores the state of the terminal.
func promptSecret(ctx context.Context, terminal *os.File, prompt io.Writer, name string) ([]byte, error) {
	fd := int(terminal.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	fmt.Fprintf(prompt, "Shared secret for %s, as Zendesk shows it (what you type or paste isn't shown): ", name)
	type typed struct {
		value []byte
		err   error
	}
	line := make(chan typed, 1)
	go func() {
		value, err := term.ReadPassword(fd)
		line <- typed{value, err}
	}()
	select {
	case t := <-line:
		fmt.Fprintln(prompt)
		if t.err != nil {
			return nil, fmt.Errorf("the terminal: %w", t.err)
		}
		return t.value, nil
	case <-ctx.Done():
		fmt.Fprintln(prompt)
		if err := term.Restore(fd, state); err != nil {
			return nil, fmt.Errorf("the terminal: %w", err)
		}
		return nil, ctx.Err()
	}
}
