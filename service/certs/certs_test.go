package certs_test

import (
	"bytes"
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
	signing := certstest.Client(t, "a.example") // may sign, but no certificates
	signing.IsCA, signing.BasicConstraintsValid, signing.KeyUsage = true, true, x509.KeyUsageDigitalSignature
	leaf := certstest.Client(t, "a.example") // may do what authorities do, and is none
	leaf.KeyUsage = x509.KeyUsageCertSign
	broken := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nonsense")}))
	for _, c := range []struct {
		name, file, text string
		want             string // key and a part of the message; empty: none
	}{
		{"as they should be", "tls.crt", server.Certificate, ""},
		{"a chain", "tls.crt", server.Certificate + ours.PEM, ""},
		{"certificate and key in one file", "tls.crt", server.Certificate + server.Key, ""},
		{"a comment between authorities", "clients.pem", ours.PEM + "\nthe next one\n" + certstest.New(t, "b").PEM, ""},

		{"no certificate", "tls.crt", "nonsense", "certificate holds no certificate"},
		{"empty", "tls.crt", "", "certificate holds no certificate"},
		{"a key for a certificate", "tls.crt", server.Key, "certificate holds no certificate"},
		{"a certificate that can't be read", "tls.crt", broken,
			"certificate holds a certificate that can't be read, the 1. of them"},
		{"a chain that breaks off", "tls.crt", server.Certificate + ours.PEM[:200],
			"certificate holds a block that isn't PEM, or isn't all there"},
		{"another's certificate", "tls.crt", other.Certificate, "key isn't the private key of certificate"},
		{"another's key", "tls.key", other.Key, "key isn't the private key of certificate"},
		{"no key", "tls.key", "nonsense", "key isn't the private key of certificate"},
		{"an empty key", "tls.key", "", "key isn't the private key of certificate"},
		{"half a key", "tls.key", server.Key[:100], "key isn't the private key of certificate"},

		{"no authority", "clients.pem", "nonsense", "client_ca holds no certificate"},
		{"no authority any more", "clients.pem", "", "client_ca holds no certificate"},
		{"an authority that can't be read", "clients.pem", ours.PEM + broken,
			"client_ca holds a certificate that can't be read, the 2. of them"},
		{"authorities that break off", "clients.pem", ours.PEM + ours.PEM[:200],
			"client_ca holds a block that isn't PEM"},
		{"a leaf for an authority", "clients.pem", ours.PEM + ours.Client(t, "a.example").Certificate,
			"client_ca holds a certificate that may issue no others"},
		{"a leaf that may sign", "clients.pem", ours.Issue(t, leaf).Certificate,
			"client_ca holds a certificate that may issue no others"},
		{"an authority that may not issue", "clients.pem", ours.Issue(t, signing).Certificate,
			"client_ca holds a certificate that may issue no others"},
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
				t.Error("the error shows the key")
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
			t.Errorf("Load takes %v", files)
		}
		// What isn't named is the configuration's fault, and has been told there.
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
	asks, _ := load(t, f.files(), certs.Options{})
	plain := f.files()
	plain.ClientCA = ""
	silent, _ := load(t, plain, certs.Options{})
	asking, unasking := echo(t, asks, "h2"), echo(t, silent, "h2")

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
			serves(t, asking, client(ours, c.pair), c.want)
			serves(t, unasking, client(ours, c.pair), true) // it isn't even sent
		})
	}
	t.Run("without one", func(t *testing.T) {
		serves(t, asking, client(ours), true)
		serves(t, unasking, client(ours), true)
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		for _, address := range []string{asking, unasking} {
			old := client(ours)
			old.MaxVersion = tls.VersionTLS12
			serves(t, address, old, false)
		}
	})
	t.Run("protocols", func(t *testing.T) {
		both := echo(t, asks, "h2", "http/1.1")
		for _, c := range []struct {
			address string
			offered []string
			want    string // empty: refused
		}{
			{asking, []string{"h2"}, "h2"}, {asking, []string{"http/1.1", "h2"}, "h2"},
			{asking, []string{"spdy/3"}, ""},
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

// TestWarnings: an end that comes near is told of at the start and then once a day.
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
		certs.Options{Poll: 10 * time.Millisecond, Now: func() time.Time { return *now.Load() }})
	follow(t, s)
	for _, in := range []time.Duration{25 * day, 26*day + time.Hour} {
		at(in)
		log.next(t, "expires soon", f.at("tls.crt"))
		log.next(t, "expires soon", f.at("clients.pem"))
	}
}

// TestSessions: no ticket is given out, so nothing outlives a change of authorities.
func TestSessions(t *testing.T) {
	ours, next := certstest.New(t, "ours"), certstest.New(t, "next")
	f := newFolder(t, ours.Server(t), ours)
	s, _ := load(t, f.files(), certs.Options{})
	address := echo(t, s)
	cache := &sessions{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	c := client(ours, ours.Client(t, "a.example"))
	c.ClientSessionCache = cache
	for range 2 {
		conn, err := connect(address, c)
		if err != nil {
			t.Fatal(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("it resumes a session")
		}
		_ = conn.Close()
	}
	f.write(t, "clients.pem", next.PEM)
	s.Reload()
	serves(t, address, c, false)
	if len(cache.kept) > 0 || !slices.Contains(cache.asked, "localhost") {
		t.Errorf("tickets kept %q, asked for %q", cache.kept, cache.asked)
	}
}

// sessions is a client's cache that remembers what was done to it.
type sessions struct {
	tls.ClientSessionCache

	asked, kept []string
}

func (s *sessions) Get(key string) (*tls.ClientSessionState, bool) {
	s.asked = append(s.asked, key)
	return s.ClientSessionCache.Get(key)
}

func (s *sessions) Put(key string, session *tls.ClientSessionState) {
	if session != nil {
		s.kept = append(s.kept, key)
	}
	s.ClientSessionCache.Put(key, session)
}

// TestWhole: under a storm of swaps no handshake sees the certificate of one set with
// the authorities of the other.
func TestWhole(t *testing.T) {
	a, b := certstest.New(t, "a"), certstest.New(t, "b")
	folders := []folder{newFolder(t, a.Server(t), a), newFolder(t, b.Server(t), b)}
	now := folder(filepath.Join(t.TempDir(), "now"))
	if err := now.lead(folders[0]); err != nil {
		t.Fatal(err)
	}
	s, log := load(t, now.files(), certs.Options{})
	go func() {
		for range log { // so that writing to it never waits
		}
	}()
	address := echo(t, s)
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
			if err := now.lead(folders[i%2]); err != nil {
				t.Error(err)
			}
			s.Reload()
		}
	})
	seen := map[string]int{}
	for range 60 {
		var asked string
		c := &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = "b"
			if bytes.Equal(i.AcceptableCAs[0], a.Certificate.RawSubject) {
				asked = "a"
			}
			return new(tls.Certificate), nil
		}}
		conn, err := connect(address, c)
		if err != nil {
			t.Fatal(err)
		}
		issuer := conn.ConnectionState().PeerCertificates[0].Issuer.CommonName
		if issuer != asked {
			t.Fatalf("a certificate of %s with authorities of %s", issuer, asked)
		}
		seen[issuer]++
		_ = conn.Close()
	}
	close(stop)
	swaps.Wait()
	if len(seen) != 2 {
		t.Errorf("handshakes by set: %v, want some of both", seen)
	}
}
