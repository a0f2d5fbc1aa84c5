//go:build long

package service_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// connect connects to a transport with a small receive buffer. It returns nil after an error.
func connect(t *testing.T, s *server, transport int) net.Conn {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(
			func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
	}}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.listeners[transport].Addr().String())
	if err != nil {
		t.Error(err)
		return nil
	}
	return conn
}

// regularCaller is a caller that sends ordinary requests to both transports during an attack.
type regularCaller struct {
	mu     sync.Mutex
	took   []time.Duration
	failed []string
}

// calls sends requests until ctx ends. They have validate_only, because TestMain would search all
// logs for each further token.
func (o *regularCaller) calls(ctx context.Context, t *testing.T, s *server) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		<-ticker.C
		for _, tr := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
			began := time.Now()
			r := tr.send(context.WithoutCancel(ctx), t, s,
				call{method: "MintToken", body: user("") + `,"validateOnly":true`})
			o.mu.Lock()
			if o.took = append(o.took, time.Since(began)); r.code != codes.OK {
				o.failed = append(o.failed, fmt.Sprintf("%s: %v %s %q", tr.name, r.code, r.reason, r.answer.message))
			}
			o.mu.Unlock()
		}
	}
}

func (o *regularCaller) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.took)
}

func (o *regularCaller) report(t *testing.T) {
	t.Helper()
	slices.Sort(o.took)
	n := len(o.took)
	if len(o.failed) > 0 {
		t.Errorf("%d of %d regular calls failed: %s", len(o.failed), n, o.failed[0])
	}
	if n < 10 {
		t.Fatalf("%d regular calls are too few", n)
	}
	t.Logf("%d regular calls, median %v, 99th %v, longest %v", n, o.took[n/2].Round(10*time.Microsecond),
		o.took[n*99/100].Round(10*time.Microsecond), o.took[n-1].Round(10*time.Microsecond))
}

// run runs the attack from all attackers concurrently. It returns when the server has disconnected
// the last of them.
func (a attack) run(t *testing.T, s *server) {
	t.Helper()
	var running sync.WaitGroup
	for range attackers {
		running.Go(func() {
			conn := connect(t, s, a.transport)
			if conn == nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(cutOffTimeout))
			watched := &watchedConn{Conn: conn}
			if err := a.do(t, watched); err != nil {
				t.Error(err)
			}
			if watched.expired.Load() {
				t.Errorf("the server did not end the connection within %v", cutOffTimeout)
			}
		})
	}
	running.Wait()
}

// watchedConn records whether its deadline passed before the server ended the connection.
type watchedConn struct {
	net.Conn
	expired atomic.Bool
}

// Read implements [net.Conn].
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.watch(err)
}

// Write implements [net.Conn].
func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.watch(err)
}

func (c *watchedConn) watch(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.expired.Store(true)
	}
	return err
}

// callDuringAttack runs a regular caller during an attack and reports its calls. The caller
// continues after the attack until it has sent enough calls.
func callDuringAttack(t *testing.T, s *server, attack func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var o regularCaller
	var serving sync.WaitGroup
	serving.Go(func() { o.calls(ctx, t, s) })
	attack()
	for began := time.Now(); o.count() < 20 && time.Since(began) < cutOffTimeout; {
		<-time.After(100 * time.Millisecond)
	}
	cancel()
	serving.Wait()
	o.report(t)
}
