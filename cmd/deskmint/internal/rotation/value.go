package rotation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretinput"
)

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
	value, err := secretinput.Read(in, "standard input")
	if err == nil && len(value) == 0 {
		err = errors.New("standard input is empty: pipe the secret in, or run this in a terminal to get a prompt")
	}
	return value, err
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
