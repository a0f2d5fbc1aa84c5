package vault_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
)

// nameFaults are faults of Vault's name, address and certificate.
func nameFaults() []fault {
	return []fault{
		nameFault("name gone", nxDomain, "the name can't be resolved"),
		nameFault("name server failing", serverFailure, "the name can't be resolved"),
		nameFault("name server silent", noAnswer, "vault.test"),
		certificateFault(
			"certificate expired",
			"the certificate has expired or is not valid yet",
			func(t *testing.T, root authority) tls.Certificate {
				return root.issue(t, -time.Hour, x509.ExtKeyUsageServerAuth)
			},
		),
		certificateFault(
			"certificate of another authority",
			"unknown authority: check ca",
			func(t *testing.T, _ authority) tls.Certificate {
				return newAuthority(t).issue(t, time.Hour, x509.ExtKeyUsageServerAuth)
			},
		),
		firstServerFails("one of two servers down", func(_ *testing.T, s *faultEnv) { s.proxy.Refuse() }),
		firstServerFails("one of two servers half-open", func(t *testing.T, s *faultEnv) {
			s.proxy.Set(t, toxic.Silent)
		}),
		{
			name: "namespace on a Vault without any",
			configure: func(_ *testing.T, _ *faultEnv, settings *vault.Settings, _ *vault.Options) {
				settings.Namespace = "elsewhere"
			},
		},
	}
}

// nameGone loses the name server's record and all open connections.
func nameFault(name string, how dnsMode, says string) fault {
	const timeout = 1500 * time.Millisecond
	var names *nameServer
	return fault{
		name: name, timeout: timeout,
		configure: func(t *testing.T, s *faultEnv, settings *vault.Settings, o *vault.Options) {
			names = newNameServer(t)
			root := newAuthority(t)
			s.front = newFrontProxy(t, s.server.Addr)
			s.front.startTLS(t, root.issue(t, time.Hour, x509.ExtKeyUsageServerAuth))
			trusted := x509.NewCertPool()
			trusted.AddCert(root.certificate)
			o.Transport = &http.Transport{
				DialContext:     (&net.Dialer{Timeout: timeout, Resolver: names.resolver()}).DialContext,
				TLSClientConfig: &tls.Config{RootCAs: trusted},
			}
			settings.Addresses = []string{"https://vault.test:" + s.front.port()}
		},
		begin: func(_ *testing.T, s *faultEnv) {
			names.set(how)
			s.front.CloseClientConnections()
		},
		afterMaxStale: secrets.ErrUnavailable, says: says,
		end: func(_ *testing.T, _ *faultEnv) { names.set(resolves) }, after: 1, value: first,
	}
}

// certificateFault presents another certificate on all new connections.
func certificateFault(name, says string, other func(*testing.T, authority) tls.Certificate) fault {
	var root authority
	return fault{
		name: name,
		configure: func(t *testing.T, s *faultEnv, settings *vault.Settings, _ *vault.Options) {
			root = newAuthority(t)
			s.front = newFrontProxy(t, s.server.Addr)
			settings.Addresses = []string{s.front.startTLS(t, root.issue(t, time.Hour, x509.ExtKeyUsageServerAuth))}
			settings.CA = credentialFile(t, root.pem())
		},
		begin:         func(t *testing.T, s *faultEnv) { s.front.present(other(t, root)) },
		afterMaxStale: secrets.ErrUnavailable, says: says,
		end: func(t *testing.T, s *faultEnv) {
			s.front.present(root.issue(t, time.Hour, x509.ExtKeyUsageServerAuth))
		}, after: 1, value: first,
	}
}

// firstServerFails is a fault of the preferred one of two servers. The other one still works.
func firstServerFails(name string, begin func(*testing.T, *faultEnv)) fault {
	return fault{
		name: name, timeout: 3 * time.Second, // enough time for the other server to answer
		configure: func(t *testing.T, s *faultEnv, settings *vault.Settings, _ *vault.Options) {
			second := toxic.New(t, strings.TrimPrefix(s.server.Addr, "http://"))
			settings.Addresses = append(settings.Addresses, "http://"+second.Address)
		},
		begin: begin,
	}
}
