// Package toxic is a network with faults for tests. It is a TCP proxy (Toxiproxy, inside the test's
// process) between a client and a Vault, and it knows nothing of HTTP. Only test code imports it.
package toxic

import (
	"fmt"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Weather is what a Proxy does to the connections through it.
type Fault string

// Each Weather applies to open connections and to new ones. Its text is the name of the toxic in
// Toxiproxy, without the stream.
const (
	// Fair passes everything on. It is how a Proxy begins.
	NoFault Fault = ""
	// Slow delays every piece of an answer by Late.
	Slow Fault = `"type": "latency", "attributes": {"latency": 3600000}`
	// Silent drops every piece in both directions without an error, like a half-open connection.
	Silent Fault = `"type": "timeout", "attributes": {"timeout": 0}`
	// Resets answers the first piece with a reset. A connection that was open before may also end
	// in an orderly way.
	Reset Fault = `"type": "reset_peer", "attributes": {"timeout": 0}`
)

// Late is the delay of Slow. It is longer than any deadline of a test.
const Late = time.Hour

// streams are the directions of a Weather: from the client, to it, or both.
var streams = map[Fault][]string{
	Slow:   {"downstream"},
	Silent: {"upstream", "downstream"},
	Reset:  {"upstream"},
}

// A Proxy passes connections to Address on to one upstream. Its methods are not safe for concurrent
// use.
type Proxy struct {
	Address string // 127.0.0.1:PORT, the same for as long as it lives

	proxy *toxiproxy.Proxy
}

// New starts a Proxy to upstream, HOST:PORT, that ends with the test.
func New(t testing.TB, upstream string) *Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)}
	p.Open(t)
	p.Address = p.proxy.Listen
	t.Cleanup(func() {
		p.Refuse()
		p.clear(t) // pieces that are delayed end too
	})
	return p
}

// Refuse closes all connections and refuses new ones, as if the process was killed.
func (p *Proxy) Refuse() { p.proxy.Stop() }

// Open accepts connections again after a Refuse, on the same port. The weather
// stays as it was.
func (p *Proxy) Open(t testing.TB) {
	t.Helper()
	if err := p.proxy.Start(); err != nil {
		t.Fatalf("toxic: %v", err)
	}
}

// Set changes the weather.
func (p *Proxy) Set(t testing.TB, w Fault) {
	t.Helper()
	p.clear(t)
	for _, stream := range streams[w] {
		toxic := fmt.Sprintf(`{"name": %q, "stream": %q, %s}`, stream, stream, w)
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			t.Fatalf("toxic: %s: %v", toxic, err)
		}
	}
}

func (p *Proxy) clear(t testing.TB) { p.proxy.Toxics.ResetToxics(t.Context()) }
