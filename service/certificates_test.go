package service_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/deskmint/deskmint/service/certs/certstest"
)

// lastRecordedCaller returns the caller of the last record and how it was authenticated.
func lastRecordedCaller(t *testing.T, s *server) (who string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(s.Audit.String()), "\n")
	var r struct{ Caller, Authenticated string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(r.Caller + " " + r.Authenticated)
}

// forgedHeaders returns the headers in which proxies pass on a client certificate, as metadata and
// as HTTP headers. Any client can send them.
func forgedHeaders(ctx context.Context) (context.Context, http.Header) {
	header := make(http.Header)
	for name, value := range map[string]string{
		"X-Forwarded-Client-Cert": `Hash=00;Subject="CN=all.acme.internal";` +
			`URI=spiffe://acme.internal/all;DNS=all.acme.internal`,
		"X-Client-Cert":     "all.acme.internal",
		"Ssl-Client-Verify": "SUCCESS",
		"Ssl-Client-S-Dn":   "CN=all.acme.internal",
		"X-Spiffe-Id":       "spiffe://acme.internal/all",
	} {
		header.Set(name, value)
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value)
	}
	return ctx, header
}

// TestCertificates checks that both transports identify the same caller by the same certificate,
// over each protocol.
func TestCertificates(t *testing.T) {
	h := startTLS(t)
	ours, theirs := h.Authority, certstest.New(t, "theirs")
	changed := func(change func(*x509.Certificate), names ...string) certstest.Pair {
		template := certstest.Client(t, names...)
		change(&template)
		return ours.Issue(t, template)
	}
	const (
		uri, dns       = "spiffe://acme.internal/shop", "shop.acme.internal"
		allURI, allDNS = "spiffe://acme.internal/all", "all.acme.internal"
	)
	followed := ours.Client(t, "unknown.internal")
	followed.TLS.Certificate = append(followed.TLS.Certificate, ours.Client(t, dns).TLS.Certificate...)
	below := ours.Intermediate(t, "below")
	chained := below.Client(t, dns)
	chained.TLS.Certificate = append(chained.TLS.Certificate, below.Certificate.Raw)
	none := certstest.Pair{}
	rsaOf := func(bits int) *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	belowWeak := ours.IntermediateWithKey(t, "weak", rsaOf(1024))
	chainedWeak := belowWeak.Client(t, dns)
	chainedWeak.TLS.Certificate = append(chainedWeak.TLS.Certificate, belowWeak.Certificate.Raw)
	for _, c := range []struct {
		name string
		pair certstest.Pair
		keys []string
		who  string // the caller and the method in the record
		// The credential in the metadata of a refusal, or "handshake" if the handshake fails.
		refused string
	}{
		{"URI", ours.Client(t, uri), nil, "by-uri mtls_uri", ""},
		{"DNS name", ours.Client(t, dns), nil, "by-dns mtls_dns", ""},
		{"DNS name in capitals", ours.Client(t, "Shop.ACME.internal"), nil, "by-dns mtls_dns", ""},
		{"among others", ours.Client(t, "a.example", "spiffe://b.example/c", dns), nil, "by-dns mtls_dns", ""},
		{"two names of one caller", ours.Client(t, allURI, allDNS), nil, "by-all mtls_uri", ""},
		{"of an intermediate authority", chained, nil, "by-dns mtls_dns", ""},
		{"no extended key usage", changed(func(c *x509.Certificate) { c.ExtKeyUsage = nil }, dns), nil,
			"by-dns mtls_dns", ""},
		{"names of two callers", ours.Client(t, uri, dns), nil, "", "ambiguous"},
		{"names of two callers, and a key", ours.Client(t, uri, dns), []string{"dmk_storefront"}, "", "several"},

		{"URI with the DNS name as its host", ours.Client(t, "spiffe://shop.acme.internal"), nil, "", "missing"},
		{"URI in capitals", ours.Client(t, "spiffe://acme.internal/SHOP"), nil, "", "missing"},
		{"URI with a trailing slash", ours.Client(t, uri+"/"), nil, "", "missing"},
		{"URI, encoded", ours.Client(t, "spiffe://acme.internal/%73hop"), nil, "", "missing"},
		{"subdomain of the DNS name", ours.Client(t, "a."+dns), nil, "", "missing"},
		{"wildcard", ours.Client(t, "*.acme.internal"), nil, "", "missing"},
		{"common name only", changed(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: dns} }), nil, "",
			"missing"},
		{"common name of another",
			changed(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "shop.acme.internal"} }, uri), nil,
			"by-uri mtls_uri", ""},
		{"address", changed(func(c *x509.Certificate) { c.EmailAddresses = []string{dns} }), nil, "", "missing"},
		{"unknown name", ours.Client(t, "unknown.internal"), nil, "", "missing"},
		{"unknown name, followed by the certificate of a caller", followed, nil, "", "missing"},
		{"unknown name and a key", ours.Client(t, "unknown.internal"), []string{"dmk_storefront"},
			"storefront api_key", ""},
		{"unknown name and a wrong key", ours.Client(t, "unknown.internal"), []string{"dmk_other"}, "", "unknown"},
		{"URI and a key", ours.Client(t, uri), []string{"dmk_storefront"}, "", "several"},
		{"URI and a key of the same caller", ours.Client(t, allURI), []string{"dmk_all"}, "", "several"},
		{"URI and a wrong key", ours.Client(t, uri), []string{"dmk_other"}, "", "several"},
		{"URI and a JWT", ours.Client(t, uri), []string{h.Issuer.token(nil, nil)}, "", "several"},
		{"unknown name and a JWT", ours.Client(t, "unknown.internal"), []string{h.Issuer.token(nil, nil)},
			"storefront jwt", ""},
		{"RSA key of 2048 bits", ours.IssueForKey(t, certstest.Client(t, dns), rsaOf(2048)), nil,
			"by-dns mtls_dns", ""},
		{"RSA key of 1024 bits", ours.IssueForKey(t, certstest.Client(t, dns), rsaOf(1024)), nil, "", "weak_key"},
		{"of an intermediate authority with an RSA key of 1024 bits", chainedWeak, nil, "", "handshake"},

		{"no certificate, but a key", none, []string{"dmk_all"}, "by-all api_key", ""},
		{"no certificate", none, nil, "", "missing"},

		{"of another authority", theirs.Client(t, uri), nil, "", "handshake"},
		{"of another authority with the same name", certstest.New(t, "ours").Client(t, uri), nil, "", "handshake"},
		{"of another authority, and a key", theirs.Client(t, uri), []string{"dmk_all"}, "", "handshake"},
		{"expired", changed(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -2), time.Now().Add(-time.Hour)
		}, uri), nil, "", "handshake"},
		{"not yet valid", changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, uri), nil,
			"", "handshake"},
		{"for servers",
			changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, uri),
			nil, "", "handshake"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				for _, protocol := range []string{"http/1.1", "h2"} {
					s := h.withCertificate(t, c.pair.TLS, protocol)
					ctx, header := forgedHeaders(t.Context())
					r := tr.send(ctx, t, s, call{
						method: "GetConfiguration", keys: append([]string{}, c.keys...), header: header,
					})
					switch {
					case c.refused == "handshake":
						if r.code != codes.Unavailable || r.reason != "" || r.http != 0 {
							t.Errorf("%s: %v %s %q, want no connection", protocol, r.code, r.reason, r.message)
						}
						continue
					case c.refused != "":
						if r.reason != "CALLER_UNAUTHENTICATED" || r.info["credential"] != c.refused {
							t.Errorf("%s: %v %s %v, want %s", protocol, r.code, r.reason, r.info, c.refused)
						}
					case r.code != codes.OK:
						t.Errorf("%s: %v %s %v", protocol, r.code, r.reason, r.info)
					}
					if who := lastRecordedCaller(t, s); who != c.who {
						t.Errorf("%s: recorded as %q, want %q", protocol, who, c.who)
					}
				}
			})
		})
	}
}

// credentialsOverOpenConnections returns a function for each transport. It sends a request, always
// over the same connection, and returns the credential in the metadata of the refusal, or "" for a
// success.
func (s *server) credentialsOverOpenConnections(t *testing.T) map[string]func(*testing.T) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.client}}
	t.Cleanup(client.CloseIdleConnections)
	requests := 0
	return map[string]func(*testing.T) string{
		"grpc": func(t *testing.T) string {
			t.Helper()
			return sendGRPC(t.Context(), t, s, call{method: "GetConfiguration", keys: []string{}}).info["credential"]
		},
		"http": func(t *testing.T) string {
			t.Helper()
			ctx := httptrace.WithClientTrace(
				t.Context(),
				&httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
					if i.Reused != (requests > 0) {
						t.Error("the request doesn't use the same connection")
					}
				}},
			)
			res, err := client.Do(call{method: "GetConfiguration", keys: []string{}}.httpRequest(ctx, t, s.URL))
			if err != nil {
				t.Fatal(err)
			}
			requests++
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode == http.StatusOK {
				return ""
			}
			var refusal struct {
				Details []struct{ Metadata map[string]string }
			}
			if err := json.Unmarshal(body, &refusal); err != nil || len(refusal.Details) == 0 {
				t.Fatalf("%v: %s", err, body)
			}
			return refusal.Details[0].Metadata["credential"]
		},
	}
}

// TestAuthorityReplaced checks that a client whose authority has been removed can't connect. An
// open connection stays in use until it reaches its age. If the identity is also removed from the
// configuration, the next request over an open connection is refused.
func TestAuthorityReplaced(t *testing.T) {
	h, next := startTLS(t), certstest.New(t, "next")
	before := h.withCertificate(t, h.Authority.Client(t, "shop.acme.internal").TLS)
	after := h.withCertificate(t, next.Client(t, "shop.acme.internal").TLS)
	open := before.credentialsOverOpenConnections(t)
	checkOpen := func(t *testing.T, want string) {
		t.Helper()
		for transport, credential := range open {
			if got := credential(t); got != want {
				t.Errorf("%s: credential %q, want %q", transport, got, want)
			}
		}
	}
	checkNew := func(t *testing.T, s *server, want codes.Code) {
		t.Helper()
		eachTransport(t, func(t *testing.T, tr transport) {
			client := h.withCertificate(t, s.clientCertificate(t))
			r := tr.send(t.Context(), t, client, call{method: "GetConfiguration", keys: []string{}})
			if r.code != want {
				t.Errorf("a new connection: %v %q, want %v", r.code, r.message, want)
			}
		})
	}
	checkOpen(t, "")
	checkNew(t, before, codes.OK)
	checkNew(t, after, codes.Unavailable)

	h.write(t, h.Authority.Server(t), next)
	h.Certs.Reload()
	checkOpen(t, "")
	checkNew(t, before, codes.Unavailable)
	checkNew(t, after, codes.OK)

	if err := h.Swap(t.Context(), parse(t, configuration)); err != nil {
		t.Fatal(err)
	}
	checkOpen(t, "missing")
	checkNew(t, after, codes.Unauthenticated)
}

// TestNoSessions checks that a client can't resume a TLS session at either transport. A resumed
// session would stay valid after the authority of its certificate has been removed.
func TestNoSessions(t *testing.T) {
	h, next := startTLS(t), certstest.New(t, "next")
	for i, name := range []string{"grpc", "http"} {
		t.Run(name, func(t *testing.T) {
			h.write(t, h.Authority.Server(t), h.Authority)
			h.Certs.Reload()
			config := h.withCertificate(t, h.Authority.Client(t, "shop.acme.internal").TLS, "h2").client
			tickets := &countingSessionCache{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
			config.ClientSessionCache = tickets
			connect := func() error {
				conn, err := tls.Dial("tcp", h.listeners[i].Addr().String(), config)
				if err != nil {
					return err
				}
				defer conn.Close()
				if conn.ConnectionState().DidResume {
					t.Error("a session was resumed")
				}
				// The server's settings frame comes after all messages of the handshake.
				const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
				if _, err := io.WriteString(conn, preface); err != nil {
					return err
				}
				_, err = io.ReadFull(conn, make([]byte, 9))
				return err
			}
			for range 2 {
				if err := connect(); err != nil {
					t.Fatal(err)
				}
			}
			h.write(t, h.Authority.Server(t), next)
			h.Certs.Reload()
			if err := connect(); err == nil {
				t.Error("a certificate of the removed authority was accepted")
			}
			if tickets.puts > 0 || tickets.gets == 0 {
				t.Errorf("the client got %d session tickets and looked for one %d times", tickets.puts, tickets.gets)
			}
		})
	}
}

// countingSessionCache is a client's session cache that counts its calls.
type countingSessionCache struct {
	tls.ClientSessionCache

	gets, puts int
}

func (c *countingSessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	c.gets++
	return c.ClientSessionCache.Get(key)
}

func (c *countingSessionCache) Put(key string, session *tls.ClientSessionState) {
	if session != nil {
		c.puts++
	}
	c.ClientSessionCache.Put(key, session)
}
