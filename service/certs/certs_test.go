package certs_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

func TestFaults(t *testing.T) {
	ours := certstest.New(t, "ours")
	server, other := ours.Server(t), ours.Server(t)
	signing := certstest.Client(t, "a.example") // an authority without the right to sign certificates
	signing.IsCA, signing.BasicConstraintsValid, signing.KeyUsage = true, true, x509.KeyUsageDigitalSignature
	leaf := certstest.Client(t, "a.example") // no authority, but with the right to sign certificates
	leaf.KeyUsage = x509.KeyUsageCertSign
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nonsense")}))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, text string
		want             string // key and a part of the message; "": no fault
	}{
		{"valid", "tls.crt", server.Certificate, ""},
		{"a chain", "tls.crt", server.Certificate + ours.PEM, ""},
		{"certificate and key in one file", "tls.crt", server.Certificate + server.Key, ""},
		{"a comment between authorities", "clients.pem", ours.PEM + "\nthe next one\n" + certstest.New(t, "b").PEM, ""},

		{"no certificate", "tls.crt", "nonsense", "certificate holds no certificate"},
		{"empty", "tls.crt", "", "certificate holds no certificate"},
		{"a key for a certificate", "tls.crt", server.Key, "certificate holds no certificate"},
		{"a certificate that can't be read", "tls.crt", broken,
			"certificate holds a certificate that can't be read (number 1)"},
		{"a truncated chain", "tls.crt", server.Certificate + ours.PEM[:200],
			"certificate holds a block that isn't PEM or is incomplete"},
		{"another's certificate", "tls.crt", other.Certificate, "key isn't the private key of certificate"},
		{"another's key", "tls.key", other.Key, "key isn't the private key of certificate"},
		{"no key", "tls.key", "nonsense", "key isn't the private key of certificate"},
		{"an empty key", "tls.key", "", "key isn't the private key of certificate"},
		{"half a key", "tls.key", server.Key[:100], "key isn't the private key of certificate"},

		{"no authority", "clients.pem", "nonsense", "client_ca holds no certificate"},
		{"an empty file of authorities", "clients.pem", "", "client_ca holds no certificate"},
		{"an authority that can't be read", "clients.pem", ours.PEM + broken,
			"client_ca holds a certificate that can't be read (number 2)"},
		{"truncated authorities", "clients.pem", ours.PEM + ours.PEM[:200],
			"client_ca holds a block that isn't PEM"},
		{"a leaf for an authority", "clients.pem", ours.PEM + ours.Client(t, "a.example").Certificate,
			"client_ca holds a certificate that may issue no others"},
		{"a leaf that may sign", "clients.pem", ours.Issue(t, leaf).Certificate,
			"client_ca holds a certificate that may issue no others"},
		{"an authority that may not issue", "clients.pem", ours.Issue(t, signing).Certificate,
			"client_ca holds a certificate that may issue no others"},
		{"an authority with a weak key", "clients.pem", ours.PEM + certstest.NewWithKey(t, "weak", weak).PEM,
			"client_ca holds an authority with an RSA key of 1024 bits"},
		{"an authority with a key", "clients.pem", ours.PEM + server.Key, "client_ca holds more than certificates"},
		{
			"an authority in OpenSSL's own form", "clients.pem",
			ours.PEM + strings.ReplaceAll(ours.PEM, "CERTIFICATE", "TRUSTED CERTIFICATE"),
			"client_ca holds more than certificates",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFolder(t, server, ours)
			f.write(t, c.file, c.text)
			var got []string
			f.files().Check(func(key, message string) { got = append(got, key+" "+message) })
			_, err := certs.Load(f.files(), certs.Options{})
			if c.want == "" {
				if got != nil || err != nil {
					t.Fatalf("faults %q, %v", got, err)
				}
				return
			}
			key, message, _ := strings.Cut(c.want, " ")
			if len(got) != 1 || !strings.HasPrefix(got[0], key+" ") || !strings.Contains(got[0], message) {
				t.Errorf("faults %q, want one: %s", got, c.want)
			}
			if err == nil || !strings.Contains(err.Error(), message) || !strings.Contains(err.Error(), string(f)) {
				t.Errorf("Load: %v, want the file and %q", err, message)
			}
			if err != nil && strings.Contains(err.Error(), server.Key[40:100]) {
				t.Error("the error contains the key")
			}
		})
	}
}

func TestMissingFiles(t *testing.T) {
	ours := certstest.New(t, "ours")
	f := newFolder(t, ours.Server(t), ours)
	files := certs.Files{Certificate: f.at("a"), Key: f.at("b"), ClientCA: f.at("c")}
	var got []string
	files.Check(func(key, message string) { got = append(got, key+" "+message) })
	want := []string{
		"certificate can't be read: no such file or directory", "key can't be read: no such file or directory",
		"client_ca can't be read: no such file or directory",
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults %q, want %q", got, want)
	}
	if _, err := certs.Load(files, certs.Options{}); err == nil || strings.Count(err.Error(), "no such file") != 3 {
		t.Errorf("Load: %v", err)
	}
	for _, files := range []certs.Files{{}, {Certificate: f.at("tls.crt")}, {Key: f.at("tls.key")}} {
		if _, err := certs.Load(files, certs.Options{}); err == nil {
			t.Errorf("Load accepts %v", files)
		}
		// Loading the configuration has already reported a missing path.
		files.Check(func(key, message string) { t.Errorf("%v: %s %s", files, key, message) })
	}
}

func TestHandshakes(t *testing.T) {
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	hour := time.Hour
	template := func(change func(*x509.Certificate)) certstest.Pair {
		c := certstest.Client(t, "a.example")
		change(&c)
		return ours.Issue(t, c)
	}
	f := newFolder(t, ours.Server(t), ours)
	verifying, _ := load(t, f.files(), certs.Options{})
	plain := f.files()
	plain.ClientCA = ""
	plainStore, _ := load(t, plain, certs.Options{})
	withCA, withoutCA := echoServer(t, verifying, "h2"), echoServer(t, plainStore, "h2")

	for _, c := range []struct {
		name string
		pair certstest.Pair
		want bool
	}{
		{"of our authority", ours.Client(t, "a.example"), true},
		{"of another authority", theirs.Client(t, "a.example"), false},
		{"of an authority of the same name", certstest.New(t, "ours").Client(t, "a.example"), false},
		{
			"expired",
			template(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(-2*hour), time.Now().Add(-hour)
			}),
			false,
		},
		{
			"not yet valid",
			template(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Now().Add(hour), time.Now().Add(2*hour)
			}),
			false,
		},
		{
			"for servers only",
			template(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			false,
		},
		// RFC 5280, section 4.2.1.12: without the extension there is no restriction.
		{"for anything", template(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantHandshake(t, withCA, client(ours, c.pair), c.want)
			wantHandshake(t, withoutCA, client(ours, c.pair), true) // the client doesn't send it
		})
	}
	t.Run("without one", func(t *testing.T) {
		wantHandshake(t, withCA, client(ours), true)
		wantHandshake(t, withoutCA, client(ours), true)
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		for _, address := range []string{withCA, withoutCA} {
			old := client(ours)
			old.MaxVersion = tls.VersionTLS12
			wantHandshake(t, address, old, false)
		}
	})
	t.Run("protocols", func(t *testing.T) {
		both := echoServer(t, verifying, "h2", "http/1.1")
		for _, c := range []struct {
			address string
			offered []string
			want    string // empty: refused
		}{
			{withCA, []string{"h2"}, "h2"}, {withCA, []string{"http/1.1", "h2"}, "h2"},
			{withCA, []string{"spdy/3"}, ""},
			{both, []string{"h2"}, "h2"}, {both, []string{"http/1.1", "h2"}, "h2"},
			{both, []string{"http/1.1"}, "http/1.1"}, {both, []string{"spdy/3"}, ""},
		} {
			config, got := client(ours), ""
			config.NextProtos = c.offered
			if conn, err := connect(c.address, config); err == nil {
				got = conn.ConnectionState().NegotiatedProtocol
				_ = conn.Close()
			}
			if got != c.want {
				t.Errorf("offered %q: %q, want %q", c.offered, got, c.want)
			}
		}
	})
}

// TestWarnings checks that a certificate about to expire causes a warning at the start and then
// once a day.
func TestWarnings(t *testing.T) {
	ours := certstest.New(t, "ours")
	f := newFolder(t, ours.Server(t), ours) // both begin and end at the same time
	day := 24 * time.Hour
	var now atomic.Pointer[time.Time]
	at := func(in time.Duration) { moment := time.Now().Add(in); now.Store(&moment) }
	for in, want := range map[time.Duration]string{
		0:        "",
		22 * day: "",
		24 * day: "expires soon",
		31 * day: "has expired",
		-day:     "isn't valid yet",
	} {
		at(in)
		_, log := load(t, f.files(), certs.Options{Now: func() time.Time { return *now.Load() }})
		if want != "" {
			log.next(t, `"level":"WARN"`, want, f.at("tls.crt"), `"subject":"CN=server"`)
			log.next(t, `"level":"WARN"`, want, f.at("clients.pem"), `"subject":"CN=ours"`)
		}
		log.none(t)
	}
	at(0)
	s, log := load(t, f.files(),
		certs.Options{PollInterval: 10 * time.Millisecond, Now: func() time.Time { return *now.Load() }})
	run(t, s)
	for _, in := range []time.Duration{25 * day, 26*day + time.Hour} {
		at(in)
		log.next(t, "expires soon", f.at("tls.crt"))
		log.next(t, "expires soon", f.at("clients.pem"))
	}
}

// TestNoSessionResumption checks that the server issues no session ticket. No client certificate
// then outlives a change of authorities.
func TestNoSessionResumption(t *testing.T) {
	ours, next := certstest.New(t, "ours"), certstest.New(t, "next")
	f := newFolder(t, ours.Server(t), ours)
	s, _ := load(t, f.files(), certs.Options{})
	address := echoServer(t, s)
	cache := &recordingCache{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	c := client(ours, ours.Client(t, "a.example"))
	c.ClientSessionCache = cache
	for range 2 {
		conn, err := connect(address, c)
		if err != nil {
			t.Fatal(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("the connection resumed a session")
		}
		_ = conn.Close()
	}
	f.write(t, "clients.pem", next.PEM)
	s.Reload()
	wantHandshake(t, address, c, false)
	if len(cache.puts) > 0 || !slices.Contains(cache.gets, "localhost") {
		t.Errorf("tickets stored %q, looked up %q", cache.puts, cache.gets)
	}
}

// recordingCache is a client's session cache that records its calls.
type recordingCache struct {
	tls.ClientSessionCache

	gets, puts []string
}

func (c *recordingCache) Get(key string) (*tls.ClientSessionState, bool) {
	c.gets = append(c.gets, key)
	return c.ClientSessionCache.Get(key)
}

func (c *recordingCache) Put(key string, session *tls.ClientSessionState) {
	if session != nil {
		c.puts = append(c.puts, key)
	}
	c.ClientSessionCache.Put(key, session)
}

// TestHandshakesDuringReloads checks that no handshake combines the certificate of one set with the
// authorities of another while the set changes constantly.
func TestHandshakesDuringReloads(t *testing.T) {
	a, b := certstest.New(t, "a"), certstest.New(t, "b")
	folders := []folder{newFolder(t, a.Server(t), a), newFolder(t, b.Server(t), b)}
	now := folder(filepath.Join(t.TempDir(), "now"))
	if err := now.linkTo(folders[0]); err != nil {
		t.Fatal(err)
	}
	s, log := load(t, now.files(), certs.Options{})
	go func() {
		for range log { // so that a write to the log never blocks
		}
	}()
	address := echoServer(t, s)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate)
	roots.AddCert(b.Certificate)

	stop := make(chan struct{})
	var swaps sync.WaitGroup
	swaps.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := now.linkTo(folders[i%2]); err != nil {
				t.Error(err)
			}
			s.Reload()
		}
	})
	seen := map[string]int{}
	for range 60 {
		var authority string
		getCertificate := func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			authority = "b"
			if bytes.Equal(i.AcceptableCAs[0], a.Certificate.RawSubject) {
				authority = "a"
			}
			return new(tls.Certificate), nil
		}
		c := &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: getCertificate}
		conn, err := connect(address, c)
		if err != nil {
			t.Fatal(err)
		}
		issuer := conn.ConnectionState().PeerCertificates[0].Issuer.CommonName
		if issuer != authority {
			t.Fatalf("certificate of %s with client authority %s", issuer, authority)
		}
		seen[issuer]++
		_ = conn.Close()
	}
	close(stop)
	swaps.Wait()
	if len(seen) != 2 {
		t.Errorf("handshakes by set: %v, want some with each", seen)
	}
}
