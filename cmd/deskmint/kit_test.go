package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// longTimeout is the time limit of an expected event on a busy machine.
const longTimeout = 2 * time.Minute

// eventually calls check until it returns no error.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.After(longTimeout)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still after %v: %v", longTimeout, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// transcript records a stream with several writers. Tests can wait for a text in it.
type transcript struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed at the next write; nil if there is no waiter
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return len(p), nil
}

// reset drops the text so far.
func (s *transcript) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = nil
}

func (s *transcript) String() string {
	text, _ := s.snapshot()
	return text
}

func (s *transcript) snapshot() (text string, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return string(s.text), s.changed
}

// await returns the text when it contains what, or false if ended is closed first.
func (s *transcript) await(what string, ended <-chan struct{}) (string, bool) {
	deadline := time.After(longTimeout)
	for {
		text, changed := s.snapshot()
		if strings.Contains(text, what) {
			return text, true
		}
		select {
		case <-changed:
		case <-ended:
			text = s.String()
			return text, strings.Contains(text, what)
		case <-deadline:
			return text, false
		}
	}
}

// deskmint is a running server, in this process or in another.
type deskmint struct {
	out, err transcript
	// The addresses, each as HOST:PORT.
	grpc, http, ops, sandbox string

	stop    func()        // requests an orderly end
	kill    func()        // ends it by force
	process *os.Process   // nil in this process
	ended   chan struct{} // closed at its end
	failure error         // its error, when ended is closed
}

// anyPort makes a server listen on free ports, so that tests can run in parallel.
var anyPort = []string{"--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"}

// dev runs a server in this process until the test ends. So does serve.
func dev(t *testing.T, args ...string) *deskmint {
	t.Helper()
	return launch(t, append(append([]string{"dev", "--sandbox-listen", "127.0.0.1:0"}, anyPort...), args...)...)
}

func serve(t *testing.T, config string, args ...string) *deskmint {
	t.Helper()
	return launch(t, append(append([]string{"serve", "--drain", "0s", "--config", config}, anyPort...), args...)...)
}

// serveUnready is serve for a service that has no key to sign with. Only its ops listener responds.
func serveUnready(t *testing.T, config string) *deskmint {
	t.Helper()
	d := start(append([]string{"serve", "--drain", "0s", "--config", config}, anyPort...)...)
	d.expectCleanEnd(t)
	text, ok := d.out.await("\nops=", d.ended)
	if !ok {
		t.Fatalf("no addresses; standard output:\n%s\nstandard error:\n%s", text, &d.err)
	}
	d.parseAddresses(text)
	return d
}

func launch(t *testing.T, args ...string) *deskmint {
	t.Helper()
	d := start(args...)
	d.awaitStart(t)
	return d
}

func start(args ...string) *deskmint {
	ctx, cancel := context.WithCancel(context.Background())
	d := &deskmint{stop: cancel, kill: func() {}, ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		d.failure = run(ctx, args, streams{strings.NewReader(""), &d.out, &d.err})
	}()
	return d
}

// spawn runs a command in a separate process. It doesn't wait until the command is ready.
func spawn(t testing.TB, binary string, args ...string) *deskmint {
	t.Helper()
	return spawnIn(t, nil, binary, args...)
}

// spawnIn is spawn with additional environment variables.
func spawnIn(t testing.TB, env []string, binary string, args ...string) *deskmint {
	t.Helper()
	d := &deskmint{ended: make(chan struct{})}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &d.out, &d.err
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.process = cmd.Process
	d.stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM) } // it may have ended
	d.kill = func() { _ = cmd.Process.Kill() }
	go func() {
		defer close(d.ended)
		d.failure = cmd.Wait()
	}()
	t.Cleanup(func() { _ = d.end() }) // a clean-up of awaitStart runs before, and reports errors
	return d
}

// awaitStart waits for the line `ready`, and parses the addresses before it. The server must end
// without an error.
func (d *deskmint) awaitStart(t *testing.T) {
	t.Helper()
	d.expectCleanEnd(t)
	d.awaitReady(t)
}

// expectCleanEnd stops the server at the end of the test, and fails the test if the server ends
// with an error.
func (d *deskmint) expectCleanEnd(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := d.end(); err != nil {
			t.Errorf("it ended with %v; standard error:\n%s", err, &d.err)
		}
	})
}

// awaitReady is awaitStart for a server that may end with an error.
func (d *deskmint) awaitReady(t *testing.T) {
	t.Helper()
	text, ok := d.out.await("\nready\n", d.ended)
	if !ok {
		t.Fatalf("not ready; standard output:\n%s\nstandard error:\n%s", text, &d.err)
	}
	d.parseAddresses(text)
}

// parseAddresses takes the addresses from the printed lines.
func (d *deskmint) parseAddresses(text string) {
	for line := range strings.Lines(text) {
		name, address, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "grpc":
			d.grpc = address
		case "http":
			d.http = address
		case "ops":
			d.ops = address
		case "sandbox":
			d.sandbox = address
		}
	}
}

// end stops the server and returns its error.
func (d *deskmint) end() error {
	d.stop()
	select {
	case <-d.ended:
		return d.failure
	case <-time.After(longTimeout):
		d.kill()
		return fmt.Errorf("it hasn't ended after %v", longTimeout)
	}
}

// tokenStart is the header of every token, which is a constant.
var tokenStart = base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`))

// checkNoSecrets checks that the streams contain no token and none of the secrets, in any encoding.
func (d *deskmint) checkNoSecrets(t *testing.T, secrets ...string) {
	t.Helper()
	checkShown(t, false, d.out.String()+d.err.String(), append(secrets, tokenStart)...)
}

func checkShown(t *testing.T, want bool, text string, secrets ...string) {
	t.Helper()
	for _, s := range secrets {
		found := false
		for _, written := range []string{
			s, hex.EncodeToString([]byte(s)), fmt.Sprint([]byte(s)),
			strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(s)), "="),
			base64.RawURLEncoding.EncodeToString([]byte(s)),
		} {
			found = found || strings.Contains(text, written)
		}
		if found != want {
			t.Errorf("the text contains %q: %v, want %v:\n%s", s, found, want, text)
		}
	}
}

// invoke runs a command to its end.
func invoke(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longTimeout)
	defer cancel()
	var out, errs bytes.Buffer
	err = run(ctx, args, streams{strings.NewReader(stdin), &out, &errs})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("deskmint %q doesn't end", args)
	}
	return out.String(), errs.String(), err
}

// folder writes files that only their owner can read, and returns their folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

// write replaces a file in one step, as editors and mounts do.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func readText(path string) (string, error) {
	text, err := os.ReadFile(path)
	return string(text), err
}
