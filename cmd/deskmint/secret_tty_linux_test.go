package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal. The command reads from in what the test writes to keyboard. screen
// has the echo of the terminal.
type terminal struct {
	keyboard *os.File
	in       *os.File
	screen   transcript
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	term := &terminal{keyboard: keyboard, in: in}
	go func() { _, _ = io.Copy(&term.screen, keyboard) }() // until keyboard is closed
	return term
}

func (term *terminal) hasEcho(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(term.in.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// runToPrompt runs a command at the terminal, and returns when the command prompts for the secret.
func (term *terminal) runToPrompt(
	t *testing.T, ctx context.Context, args ...string,
) (out *bytes.Buffer, ended func() error) {
	t.Helper()
	var prompt transcript
	out, failed := &bytes.Buffer{}, make(chan error, 1)
	go func() { failed <- run(ctx, args, streams{term.in, out, &prompt}) }()
	if text, ok := prompt.await("Shared secret for acme-customers", nil); !ok {
		t.Fatalf("no prompt: %s", text)
	}
	eventually(t, func() error {
		if term.hasEcho(t) {
			return errors.New("the terminal echoes")
		}
		return nil
	})
	return out, sync.OnceValue(func() error {
		select {
		case err := <-failed:
			checkShown(t, false, prompt.String()+out.String(), nextSecret)
			return err
		case <-time.After(longTimeout):
			return errors.New("it doesn't end")
		}
	})
}

// TestSecretPrompt checks that a command at a terminal prompts for the secret, and doesn't echo it.
func TestSecretPrompt(t *testing.T) {
	t.Parallel()
	config, secretsFile, _ := files(t)
	term := newTerminal(t)
	out, ended := term.runToPrompt(t, t.Context(), "secret", "replace", "acme-customers", "--config", config)
	if _, err := io.WriteString(term.keyboard, nextSecret+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := ended(); err != nil || !strings.Contains(out.String(), "make version 2 active") ||
		!strings.Contains(readFile(t, secretsFile), nextSecret) {
		t.Errorf("%v\n%s", err, out)
	}
	if !term.hasEcho(t) {
		t.Error("the terminal has no echo afterwards")
	}
	checkShown(t, false, term.screen.String(), nextSecret)
}

// TestSecretPromptInterrupt checks that an interrupt, which ends the context, writes nothing. The
// state of the terminal is restored.
func TestSecretPromptInterrupt(t *testing.T) {
	t.Parallel()
	config, secretsFile, _ := files(t)
	before := readFile(t, secretsFile)
	term := newTerminal(t)
	ctx, interrupt := context.WithCancel(t.Context())
	_, ended := term.runToPrompt(t, ctx, "secret", "stage", "acme-customers", "--config", config)
	if _, err := io.WriteString(term.keyboard, nextSecret[:10]); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if err := ended(); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !term.hasEcho(t) {
		t.Error("the terminal has no echo afterwards")
	}
	if after := readFile(t, secretsFile); after != before {
		t.Errorf("the file was changed to\n%s", after)
	}
}

// TestSecretPromptAfterCheck checks that there is no prompt if the store is not writable.
func TestSecretPromptAfterCheck(t *testing.T) {
	t.Parallel()
	config, secretsFile, _ := files(t)
	write(t, secretsFile, "secrets: {sso/acme-customers: {}}\n")
	term := newTerminal(t)
	var errs transcript
	ctx, cancel := context.WithTimeout(t.Context(), longTimeout)
	defer cancel()
	err := run(ctx, []string{"secret", "stage", "acme-customers", "--config", config}, streams{term.in, &errs, &errs})
	if err == nil || !strings.Contains(err.Error(), filepath.Base(secretsFile)+":1: ") ||
		strings.Contains(errs.String(), "Shared secret") {
		t.Errorf("%v\n%s", err, errs.String())
	}
}
