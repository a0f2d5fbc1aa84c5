package toxic_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
)

// echo starts a server that returns all data to the client, and returns its address.
func echo(t *testing.T) string {
	t.Helper()
	return secretstest.Listen(t, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
}

func dial(t *testing.T, p *toxic.Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// say sends a word and waits for it to come back.
func say(conn net.Conn, patience time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("word")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}

const (
	long  = 10 * time.Second
	brief = 50 * time.Millisecond
)

func TestWeather(t *testing.T) {
	for _, tc := range []struct {
		name     string
		weather  toxic.Fault
		patience time.Duration
		want     error // of a new connection
		standing error // of one from before; nil: any
	}{
		{"fair", toxic.NoFault, long, nil, nil},
		{"slow", toxic.Slow, brief, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"silent", toxic.Silent, brief, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{"resets", toxic.Reset, long, syscall.ECONNRESET, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := toxic.New(t, echo(t))
			before := dial(t, p)
			if err := say(before, long); err != nil {
				t.Fatal(err)
			}
			p.Set(t, tc.weather)
			if err := say(dial(t, p), tc.patience); !errors.Is(err, tc.want) {
				t.Errorf("a new connection: %v, want %v", err, tc.want)
			}
			err := say(before, tc.patience)
			if (err == nil) != (tc.want == nil) || tc.standing != nil && !errors.Is(err, tc.standing) {
				t.Errorf("one from before: %v, want %v", err, tc.standing)
			}
			p.Set(t, toxic.NoFault)
			if err := say(dial(t, p), long); err != nil {
				t.Errorf("when it clears: %v", err)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	p := toxic.New(t, echo(t))
	before, address := dial(t, p), p.Address
	if err := say(before, long); err != nil {
		t.Fatal(err)
	}
	p.Refuse()
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v", err)
	}
	if err := say(before, long); err == nil {
		t.Error("one from before goes on")
	}
	p.Open(t)
	if p.Address != address {
		t.Errorf("it moved from %s to %s", address, p.Address)
	}
	if err := say(dial(t, p), long); err != nil {
		t.Error(err)
	}
}
