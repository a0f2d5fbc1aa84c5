package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// maxSecret is far beyond any secret: what is longer is a wrong file.
const maxSecret = 64 << 10

// readSecret reads a secret from standard input, or asks for it where that is a
// terminal. One line end is taken off; more than that is the value's own fault,
// and for whoever checks the value to tell.
func readSecret(ctx context.Context, std streams, name string) ([]byte, error) {
	if f, ok := std.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return askSecret(ctx, f, std.err, name)
	}
	value, err := io.ReadAll(io.LimitReader(std.in, maxSecret+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("standard input: %w", err)
	case len(value) == 0:
		return nil, errors.New("standard input is empty: pipe the secret in, or run this in a terminal to be asked for it")
	case len(value) > maxSecret:
		return nil, fmt.Errorf("standard input holds more than %d KiB: that is no secret", maxSecret>>10)
	}
	if line, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		value = bytes.TrimSuffix(line, []byte("\r"))
	}
	return value, nil
}

// askSecret doesn't echo what is typed. An interrupt arrives as the end of ctx, and
// must leave the terminal as it was.
func askSecret(ctx context.Context, terminal *os.File, prompt io.Writer, name string) ([]byte, error) {
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
