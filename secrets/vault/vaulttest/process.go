package vaulttest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// startWithin is the time limit for a change of state. It is long because test machines are slow. A
// test waits for so long only if it fails.
const startWithin = 60 * time.Second

// process is a Vault server that is running or has ended.
type process struct {
	kill   func() // returns when the process has ended
	exited chan struct{}
	output *lastBytes
}

// launch starts a process, which ends with the test at the latest. The process doesn't get the
// VAULT_* variables of the environment.
func launch(t testing.TB, binary string, args ...string) (*process, error) {
	p := &process{exited: make(chan struct{}), output: &lastBytes{}}
	cmd := exec.Command(binary, args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	go func() {
		_ = cmd.Wait() // it was killed, or its output contains the error
		close(p.exited)
	}()
	p.kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have exited by itself
		<-p.exited
	})
	t.Cleanup(p.kill)
	return p, nil
}

// await polls until reached returns true. The text state describes the expected state for errors.
func (p *process) await(state string, reached func() bool) error {
	deadline := time.After(startWithin)
	for !reached() {
		select {
		case <-p.exited:
			return fmt.Errorf("vault ended before it was %s: %s", state, p.output)
		case <-deadline:
			p.kill()
			return fmt.Errorf("vault is not %s after %v: %s", state, startWithin, p.output)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// findBinary returns the path of the Vault binary. It skips the test if there is none.
func findBinary(t testing.TB) string {
	t.Helper()
	if binary := os.Getenv("VAULT_BIN"); binary != "" {
		return binary
	}
	if binary, err := exec.LookPath("vault"); err == nil {
		return binary
	}
	const message = "real Vault tests need VAULT_BIN or a vault on the PATH; `make test` builds one"
	if slices.Contains(strings.Split(os.Getenv("DESKMINT_REQUIRE"), ","), "vault") {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// retryStart calls start up to three times, because another process may take the port before Vault
// listens on it.
func retryStart[T any](t testing.TB, start func() (T, error)) T {
	t.Helper()
	for attempt := 1; ; attempt++ {
		started, err := start()
		if err == nil {
			return started
		}
		if attempt == 3 {
			t.Fatalf("vaulttest: %v", err)
		}
		t.Logf("vaulttest: attempt %d: %v", attempt, err)
	}
}

// freeAddress returns an address with a port that is not in use.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// lastBytes keeps the end of the output of a process.
type lastBytes struct {
	mu  sync.Mutex
	buf []byte
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	l.buf = l.buf[max(0, len(l.buf)-4096):]
	return len(p), nil
}

func (l *lastBytes) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}
