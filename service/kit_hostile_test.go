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

// connect dials a transport with a small buffer for what comes from it; nil: it has failed.
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

// ordinary is a caller who means well, at both transports, while something goes on.
type ordinary struct {
	mu     sync.Mutex
	took   []time.Duration
	failed []string
}

// calls signs in for trial: every token would be one more to search all logs for.
func (o *ordinary) calls(ctx context.Context, t *testing.T, s *server) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		<-pace.C
		for _, d := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
			began := time.Now()
			r := d.send(context.WithoutCancel(ctx), t, s,
				call{method: "MintToken", body: user("") + `,"validateOnly":true`})
			o.mu.Lock()
			if o.took = append(o.took, time.Since(began)); r.code != codes.OK {
				o.failed = append(o.failed, fmt.Sprintf("%s: %v %s %q", d.name, r.code, r.reason, r.answer.message))
			}
			o.mu.Unlock()
		}
	}
}

func (o *ordinary) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.took)
}

func (o *ordinary) report(t *testing.T) {
	t.Helper()
	slices.Sort(o.took)
	n := len(o.took)
	if len(o.failed) > 0 {
		t.Errorf("%d of %d ordinary calls failed: %s", len(o.failed), n, o.failed[0])
	}
	if n < 10 {
		t.Fatalf("%d ordinary calls: too few to tell anything", n)
	}
	t.Logf("%d ordinary calls, median %v, 99th %v, longest %v", n, o.took[n/2].Round(10*time.Microsecond),
		o.took[n*99/100].Round(10*time.Microsecond), o.took[n-1].Round(10*time.Microsecond))
}

// run is the attack by all at once. It returns when the last has been cut off.
func (a attack) run(t *testing.T, s *server) {
	t.Helper()
	var hostile sync.WaitGroup
	for range crowd {
		hostile.Go(func() {
			conn := connect(t, s, a.transport)
			if conn == nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(never))
			watched := &watchedConn{Conn: conn}
			if err := a.do(t, watched); err != nil {
				t.Error(err)
			}
			if watched.expired.Load() {
				t.Errorf("not cut off within %v", never)
			}
		})
	}
	hostile.Wait()
}

// watchedConn remembers whether its deadline has passed before the server ended it.
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

// besieged is what an ordinary caller sees while something goes on, and for as long after it as to
// tell anything.
func besieged(t *testing.T, s *server, attack func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var o ordinary
	var serving sync.WaitGroup
	serving.Go(func() { o.calls(ctx, t, s) })
	attack()
	for began := time.Now(); o.count() < 20 && time.Since(began) < never; {
		<-time.After(100 * time.Millisecond)
	}
	cancel()
	serving.Wait()
	o.report(t)
}
