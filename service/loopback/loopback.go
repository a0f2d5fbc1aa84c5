// Package loopback decides which hosts are this machine.
package loopback

import (
	"net/netip"
	"strings"
)

// Host reports whether a host without a port is `localhost` or a loopback address. Use it for hosts
// that this process or another program connects to. Names below `localhost` are not included,
// because a resolver may send them to another machine.
func Host(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// BrowserHost is Host for hosts that only browsers connect to. It includes the names below
// `localhost`, which browsers resolve to a loopback address themselves (RFC 6761, section 6.3).
func BrowserHost(host string) bool { return Host(host) || strings.HasSuffix(host, ".localhost") }
