// Package toxic simulates network faults in tests. It runs a TCP proxy (Toxiproxy, in the process
// of the test) between a client and a server such as Vault. Only test code imports it.
package toxic

import (
	"fmt"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A Fault is the effect of a Proxy on its connections.
type Fault string

// Each Fault applies to open connections and to new ones. Its text is the JSON of the toxic in
// Toxiproxy, without the name and the stream.
const (
	// NoFault forwards all data. It is the initial state of a Proxy.
	NoFault Fault = ""
	// Slow delays all data from the server by an hour, which is longer than any deadline of a test.
	Slow Fault = `"type": "latency", "attributes": {"latency": 3600000}`
	// Silent drops all data in both directions without an error, like a half-open connection.
	Silent Fault = `"type": "timeout", "attributes": {"timeout": 0}`
	// Reset resets a connection when the client sends data. A connection that was open before may
	// also be closed normally.
	Reset Fault = `"type": "reset_peer", "attributes": {"timeout": 0}`
)

// streams are the directions in which a Fault applies: from the client, to the client, or both.
var streams = map[Fault][]string{
	Slow:   {"downstream"},
	Silent: {"upstream", "downstream"},
	Reset:  {"upstream"},
}

// A Proxy forwards connections from Address to one upstream. Its methods are not safe for
// concurrent use.
type Proxy struct {
	Address string // 127.0.0.1:PORT; it never changes

	proxy *toxiproxy.Proxy
}

// New starts a Proxy to upstream (HOST:PORT). It ends with the test.
func New(t testing.TB, upstream string) *Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)}
	p.Open(t)
	p.Address = p.proxy.Listen
	t.Cleanup(func() {
		p.Refuse()
		p.clear(t) // end the connections with delayed data too
	})
	return p
}

// Refuse closes all connections and refuses new ones, as if the server was killed.
func (p *Proxy) Refuse() { p.proxy.Stop() }

// Open accepts connections again after Refuse, on the same port. The fault is unchanged.
func (p *Proxy) Open(t testing.TB) {
	t.Helper()
	if err := p.proxy.Start(); err != nil {
		t.Fatalf("toxic: %v", err)
	}
}

// Set replaces the present fault with f.
func (p *Proxy) Set(t testing.TB, f Fault) {
	t.Helper()
	p.clear(t)
	for _, stream := range streams[f] {
		toxic := fmt.Sprintf(`{"name": %q, "stream": %q, %s}`, stream, stream, f)
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatalf("toxic: %s: %v", toxic, err)
		}
	}
}

func (p *Proxy) clear(t testing.TB) { p.proxy.Toxics.ResetToxics(t.Context()) }
