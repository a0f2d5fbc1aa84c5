package vault_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsMode says how a nameServer answers.
type dnsMode int32

const (
	resolves dnsMode = iota // vault.test is 127.0.0.1, and no other name exists
	nxDomain                // the name does not exist (RFC 1035, section 4.1.1, code 3)
	serverFailure
	noAnswer
)

// nameServer is a DNS server over UDP.
type nameServer struct {
	conn net.PacketConn
	mode atomic.Int32
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{conn: conn}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		n.serve()
	}()
	return n
}

func (n *nameServer) set(w dnsMode) { n.mode.Store(int32(w)) }

// resolver returns a resolver that queries this server instead of the machine's name server.
func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
}

func (n *nameServer) serve() {
	packet := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		if answer := n.answer(packet[:size]); answer != nil {
			_, _ = n.conn.WriteTo(answer, from)
		}
	}
}

func (n *nameServer) answer(packet []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil || len(m.Questions) != 1 {
		return nil
	}
	question := m.Questions[0]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true},
		Questions: m.Questions,
	}
	switch ours := strings.EqualFold(question.Name.String(), "vault.test."); dnsMode(n.mode.Load()) {
	case noAnswer:
		return nil
	case serverFailure:
		answer.RCode = dnsmessage.RCodeServerFailure
	case nxDomain:
		answer.RCode = dnsmessage.RCodeNameError
	default:
		if !ours {
			answer.RCode = dnsmessage.RCodeNameError
		} else if question.Type == dnsmessage.TypeA {
			answer.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			}}
		}
	}
	packed, err := answer.Pack()
	if err != nil {
		return nil
	}
	return packed
}
