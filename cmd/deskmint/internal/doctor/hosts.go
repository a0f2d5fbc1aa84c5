package doctor

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/deskmint/deskmint/service/config"
)

// hosts resolves the hosts of brands, and connects to where forms are posted, as browsers do. A
// failure may also be due to the network of this machine.
func (e *examination) hosts(ctx context.Context, s *config.Snapshot) {
	const here = "correct subdomain or hosts in the configuration, or the name's record; if this machine can't look " +
		"up or reach names outside, leave --online out"
	var names, actions []string
	for _, name := range s.Names() {
		conf, _ := s.Configuration(name)
		for _, b := range conf.Profile.Brands() {
			names = append(names, b.Hosts...)
			actions = append(actions, b.Action)
		}
	}
	slices.Sort(names)
	slices.Sort(actions)
	for _, host := range slices.Compact(names) {
		if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
			e.fault("brand host "+host, "the name can't be looked up", here)
		} else {
			e.ok("brand host "+host, "the name is known")
		}
	}
	for _, action := range slices.Compact(actions) {
		if err := connect(ctx, action); err != nil {
			e.fault("endpoint "+action, "no connection: "+causeOf(err), here)
		} else {
			e.ok("endpoint "+action, "it can be reached")
		}
	}
}

// connect opens a connection to a URL and closes it. Over TLS it verifies the certificate.
func connect(ctx context.Context, action string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	u, err := url.Parse(action)
	if err != nil {
		return err
	}
	plain := &net.Dialer{}
	dial, port := plain.DialContext, "80"
	if u.Scheme == "https" {
		dial, port = (&tls.Dialer{NetDialer: plain}).DialContext, "443"
	}
	if u.Port() != "" {
		port = u.Port()
	}
	conn, err := dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
