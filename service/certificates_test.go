package service_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

// certified adds callers that are known by certificates.
func withCertificateCallers(configuration string) string {
	const grants = `
    grants: [{configurations: [acme-customers], brands: ["*"], actions: [read]}]`
	return configuration + `
  - name: by-uri
    identities: [{mtls_uri: "spiffe://acme.internal/shop"}]` + grants + `
  - name: by-dns
    identities: [{mtls_dns: shop.acme.internal}]` + grants + `
  - name: by-all
    identities: [{mtls_dns: all.acme.internal}, {mtls_uri: "spiffe://acme.internal/all"}, {api_key_sha256: ` + caller.HashKey("dmk_all") + `}]` + grants + `
`
}

// hall is a server that speaks TLS, and whose files can be changed.
type tlsServer struct {
	*server

	Certs     *certs.Store
	Authority *certstest.Authority // of the server and of the clients
	Issuer    *tokenIssuer
	files     certs.Files
}

func startTLS(t *testing.T) *tlsServer {
	t.Helper()
	dir, ours := t.TempDir(), certstest.New(t, "ours")
	h := &tlsServer{Authority: ours, Issuer: newTokenIssuer(t), files: certs.Files{
		Certificate: filepath.Join(dir,
			"tls.crt"), Key: filepath.Join(dir, "tls.key"), ClientCA: filepath.Join(dir, "clients.pem"),
	}}
	h.write(t, ours.Server(t), ours)
	var err error
	if h.Certs, err = certs.Load(h.files, certs.Options{}); err != nil {
		t.Fatal(err)
	}
	h.server = start(t, settings{configuration: withCertificateCallers(h.Issuer.withIssuer()), certificates: h.Certs})
	return h
}

func (h *tlsServer) write(t *testing.T, server certstest.Pair, clients *certstest.Authority) {
	t.Helper()
	for path, text := range map[string]string{h.files.Certificate: server.Certificate, h.files.Key: server.Key, h.files.ClientCA: clients.PEM} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// seenBy is the server as somebody reaches it who shows this certificate, whatever authorities it
// is asked of; nil: who has none.
func (h *tlsServer) withCertificate(t *testing.T, own *tls.Certificate, protocols ...string) *server {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(h.Authority.Certificate)
	seen := *h.server
	seen.client = &tls.Config{RootCAs: roots, NextProtos: protocols}
	if own != nil {
		seen.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	conn, err := grpc.NewClient(h.listeners[0].Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(seen.client)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	seen.GRPC = conn
	return &seen
}

// recorded is who the last request came from, as it is on record.
func lastRecordedCaller(t *testing.T, s *server) (who string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(s.Audit.String()), "\n")
	var r struct{ Caller, Authenticated string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(r.Caller + " " + r.Authenticated)
}

// forged are what proxies tell of a client's certificate, and anybody else can too.
func forgedHeaders(ctx context.Context) (context.Context, http.Header) {
	header := make(http.Header)
	for name, value := range map[string]string{
		"X-Forwarded-Client-Cert": `Hash=00;Subject="CN=all.acme.internal";URI=spiffe://acme.internal/all;DNS=all.acme.internal`,
		"X-Client-Cert":           "all.acme.internal", "Ssl-Client-Verify": "SUCCESS", "Ssl-Client-S-Dn": "CN=all.acme.internal", "X-Spiffe-Id": "spiffe://acme.internal/all",
	} {
		header.Set(name, value)
		ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value)
	}
	return ctx, header
}

// TestCertificates: who somebody is by what he shows, the same at every transport.
func TestCertificates(t *testing.T) {
	h := startTLS(t)
	ours, theirs := h.Authority, certstest.New(t, "theirs")
	changed := func(change func(*x509.Certificate), names ...string) certstest.Pair {
		template := certstest.Client(t, names...)
		change(&template)
		return ours.Issue(t, template)
	}
	const uri, dns, allURI, allDNS = "spiffe://acme.internal/shop", "shop.acme.internal", "spiffe://acme.internal/all", "all.acme.internal"
	followed := ours.Client(t, "somebody.else")
	followed.TLS.Certificate = append(followed.TLS.Certificate, ours.Client(t, dns).TLS.Certificate...)
	below := ours.Intermediate(t, "below")
	chained := below.Client(t, dns)
	chained.TLS.Certificate = append(chained.TLS.Certificate, below.Certificate.Raw)
	none := certstest.Pair{}
	for _, c := range []struct {
		name string
		pair certstest.Pair
		keys []string
		who  string // as recorded
		// What is wrong otherwise: the word in the metadata, or "handshake".
		refused string
	}{
		{"URI", ours.Client(t, uri), nil, "by-uri mtls_uri", ""},
		{"DNS name", ours.Client(t, dns), nil, "by-dns mtls_dns", ""},
		{"DNS name in capitals", ours.Client(t, "Shop.ACME.internal"), nil, "by-dns mtls_dns", ""},
		{"among others", ours.Client(t, "a.example", "spiffe://b.example/c", dns), nil, "by-dns mtls_dns", ""},
		{"two names of one caller", ours.Client(t, allURI, allDNS), nil, "by-all mtls_uri", ""},
		{"of an authority in between", chained, nil, "by-dns mtls_dns", ""},
		{"not restricted in its use", changed(func(c *x509.Certificate) { c.ExtKeyUsage = nil }, dns), nil, "by-dns mtls_dns", ""},
		{"names of two callers", ours.Client(t, uri, dns), nil, "", "ambiguous"},
		{"names of two callers, and a key", ours.Client(t, uri, dns), []string{"dmk_storefront"}, "", "several"},

		{"URI as a DNS name would be", ours.Client(t, "spiffe://shop.acme.internal"), nil, "", "missing"},
		{"URI in capitals", ours.Client(t, "spiffe://acme.internal/SHOP"), nil, "", "missing"},
		{"URI with more", ours.Client(t, uri+"/"), nil, "", "missing"},
		{"URI, encoded", ours.Client(t, "spiffe://acme.internal/%73hop"), nil, "", "missing"},
		{"DNS name below", ours.Client(t, "a."+dns), nil, "", "missing"},
		{"wildcard", ours.Client(t, "*.acme.internal"), nil, "", "missing"},
		{"common name only", changed(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: dns} }), nil, "", "missing"},
		{"common name of another", changed(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "shop.acme.internal"} }, uri), nil, "by-uri mtls_uri", ""},
		{"address", changed(func(c *x509.Certificate) { c.EmailAddresses = []string{dns} }), nil, "", "missing"},
		{"nobody's", ours.Client(t, "somebody.else"), nil, "", "missing"},
		{"nobody's, with a caller's behind it", followed, nil, "", "missing"},
		{"nobody's, and a key", ours.Client(t, "somebody.else"), []string{"dmk_storefront"}, "storefront api_key", ""},
		{"nobody's, and a wrong key", ours.Client(t, "somebody.else"), []string{"dmk_other"}, "", "unknown"},
		{"and a key", ours.Client(t, uri), []string{"dmk_storefront"}, "", "several"},
		{"and its own key", ours.Client(t, allURI), []string{"dmk_all"}, "", "several"},
		{"and a wrong key", ours.Client(t, uri), []string{"dmk_other"}, "", "several"},
		{"and a JWT", ours.Client(t, uri), []string{h.Issuer.token(nil, nil)}, "", "several"},
		{"nobody's, and a JWT", ours.Client(t, "somebody.else"), []string{h.Issuer.token(nil, nil)}, "storefront jwt", ""},
		{"none, and a key", none, []string{"dmk_all"}, "by-all api_key", ""},
		{"none", none, nil, "", "missing"},

		{"another authority's", theirs.Client(t, uri), nil, "", "handshake"},
		{"another authority's of the same name", certstest.New(t, "ours").Client(t, uri), nil, "", "handshake"},
		{"another authority's, and a key", theirs.Client(t, uri), []string{"dmk_all"}, "", "handshake"},
		{"expired", changed(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(0, 0, -2), time.Now().Add(-time.Hour)
		}, uri), nil, "", "handshake"},
		{"not yet valid", changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, uri), nil, "", "handshake"},
		{"for servers", changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, uri), nil, "", "handshake"},
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

// keptOpen asks who somebody is over one connection for as long as it is asked. The answer is the
// word for what is wrong, or empty.
func (s *server) credentialsOverOpenConnections(t *testing.T) map[string]func(*testing.T) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.client}}
	t.Cleanup(client.CloseIdleConnections)
	asked := 0
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
					if i.Reused != (asked > 0) {
						t.Error("it isn't the connection of before")
					}
				}},
			)
			res, err := client.Do(call{method: "GetConfiguration", keys: []string{}}.httpRequest(ctx, t, s.URL))
			if err != nil {
				t.Fatal(err)
			}
			asked++
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode == http.StatusOK {
				return ""
			}
			var said struct {
				Details []struct{ Metadata map[string]string }
			}
			if err := json.Unmarshal(body, &said); err != nil || len(said.Details) == 0 {
				t.Fatalf("%v: %s", err, body)
			}
			return said.Details[0].Metadata["credential"]
		},
	}
}

// TestAuthorityReplaced: who has a certificate of an authority that is gone makes no connection any
// more. One that is open goes on for its time, unless the caller's identity is gone from the
// configuration too, which counts at once.
func TestAuthorityReplaced(t *testing.T) {
	h, next := startTLS(t), certstest.New(t, "next")
	before := h.withCertificate(t, h.Authority.Client(t, "shop.acme.internal").TLS)
	after := h.withCertificate(t, next.Client(t, "shop.acme.internal").TLS)
	open := before.credentialsOverOpenConnections(t)
	says := func(t *testing.T, want string) {
		t.Helper()
		for transport, ask := range open {
			if got := ask(t); got != want {
				t.Errorf("%s: credential %q, want %q", transport, got, want)
			}
		}
	}
	connects := func(t *testing.T, s *server, want codes.Code) {
		t.Helper()
		eachTransport(t, func(t *testing.T, tr transport) {
			if r := tr.send(t.Context(), t, h.withCertificate(t, s.clientCertificate(t)), call{method: "GetConfiguration", keys: []string{}}); r.code != want {
				t.Errorf("a new connection: %v %q, want %v", r.code, r.message, want)
			}
		})
	}
	says(t, "")
	connects(t, before, codes.OK)
	connects(t, after, codes.Unavailable)

	h.write(t, h.Authority.Server(t), next)
	h.Certs.Reload()
	says(t, "")
	connects(t, before, codes.Unavailable)
	connects(t, after, codes.OK)

	if err := h.Swap(t.Context(), parse(t, configuration)); err != nil {
		t.Fatal(err)
	}
	says(t, "missing")
	connects(t, after, codes.Unauthenticated)
}

// own is the certificate of a client that [hall.seenBy] made.
func (s *server) clientCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	certificate, err := s.client.GetClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// TestNoSessions: neither transport lets a client resume a session, which would carry its
// certificate past the end of the authority that issued it.
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
				// The settings frame comes after all that belongs to the handshake.
				if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
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
				t.Error("a certificate of the authority before was taken")
			}
			if tickets.puts > 0 || tickets.gets == 0 {
				t.Errorf("%d tickets were given out, %d times one was looked for", tickets.puts, tickets.gets)
			}
		})
	}
}

// tickets is a client's cache of sessions that counts.
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
