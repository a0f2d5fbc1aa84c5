package certs_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

const (
	reloaded    = `"msg":"the TLS certificates were reloaded"`
	notReloaded = `"msg":"the TLS certificates were not reloaded; the previous ones stay in use"`
)

// never is an interval longer than any test.
const never = 24 * time.Hour

// TestRunReplacedFiles replaces the files in several ways. Each time, the next handshakes must use
// the new files, and open connections must continue.
func TestRunReplacedFiles(t *testing.T) {
	before, after := certstest.New(t, "before"), certstest.New(t, "after")
	for name, replace := range map[string]func(*testing.T, folder, certstest.Pair){
		"written in place": func(t *testing.T, f folder, p certstest.Pair) { f.writeAll(t, p, after) },
		"renamed":          func(t *testing.T, f folder, p certstest.Pair) { f.moveFrom(t, newFolder(t, p, after)) },
		"replaced by links": func(t *testing.T, f folder, p certstest.Pair) {
			next := newFolder(t, p, after)
			for _, name := range []string{"clients.pem", "tls.crt", "tls.key"} {
				if err := os.Remove(f.at(name)); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(next.at(name), f.at(name)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"in a replaced folder": func(t *testing.T, f folder, p certstest.Pair) {
			if err := os.Rename(string(f), string(f)+".before"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(string(newFolder(t, p, after)), string(f)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder(filepath.Join(t.TempDir(), "tls"))
			if err := os.Rename(string(newFolder(t, before.Server(t), before)), string(f)); err != nil {
				t.Fatal(err)
			}
			s, log := load(t, f.files(), certs.Options{PollInterval: never})
			run(t, s)
			address := echoServer(t, s)
			open, err := connect(address, client(before, before.Client(t, "a.example")))
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			server := longLived(t, after)
			replace(t, f, server)
			awaitReload(t, s, log, server)

			wantHandshake(t, address, client(after, after.Client(t, "a.example")), true)
			wantHandshake(t, address, client(after), true)
			wantHandshake(t, address, client(after, before.Client(t, "a.example")), false)
			wantHandshake(t, address, client(before), false)
			if err := ping(open); err != nil {
				t.Errorf("the open connection: %v", err)
			}
			// The store must also notice changes of the new files.
			again := before.Issue(t,
				x509.Certificate{DNSNames: []string{"localhost"}, NotAfter: time.Now().AddDate(0, 0, 90)})
			f.writeAll(t, again, before)
			awaitReload(t, s, log, again)
		})
	}
}

// longLived returns a certificate that its end distinguishes from others.
func longLived(t *testing.T, a *certstest.Authority) certstest.Pair {
	t.Helper()
	return a.Issue(t, x509.Certificate{DNSNames: []string{"localhost"}, NotAfter: time.Now().AddDate(0, 0, 60)})
}

// awaitReload reads the log until the pair is in use. On a slow machine, reloads of incomplete
// files may come first, because the key is written last.
func awaitReload(t *testing.T, s *certs.Store, log logLines, pair certstest.Pair) (lines []string) {
	t.Helper()
	for {
		lines = append(lines, log.next(t))
		if strings.Contains(lines[len(lines)-1], reloaded) && s.NotAfter().Equal(pair.TLS.Leaf.NotAfter) {
			return lines
		}
	}
}

// TestRunMissingFolder checks that a folder is found again after it was missing.
func TestRunMissingFolder(t *testing.T) {
	ours := certstest.New(t, "ours")
	f := folder(filepath.Join(t.TempDir(), "tls"))
	first, next := newFolder(t, ours.Server(t), ours), newFolder(t, longLived(t, ours), ours)
	if err := os.Rename(string(first), string(f)); err != nil {
		t.Fatal(err)
	}
	s, log := load(t, f.files(), certs.Options{PollInterval: never})
	run(t, s)
	if err := os.Rename(string(f), string(first)); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(log.next(t), notReloaded) {
		// A warning that the folder can't be watched may come first.
	}
	if err := os.Rename(string(next), string(f)); err != nil {
		t.Fatal(err)
	}
	log.next(t, reloaded)
	log.none(t)
}

// TestRunKubernetesMount changes files as Kubernetes does. Kubernetes puts each state of a
// ConfigMap or Secret in a separate folder. One link leads to the current folder, and every file is
// a link through that one.
func TestRunKubernetesMount(t *testing.T) {
	before, after := certstest.New(t, "before"), certstest.New(t, "after")
	f := folder(t.TempDir())
	data := folder(f.at("..data"))
	state := func(name string, ours *certstest.Authority) folder {
		d := folder(f.at(name))
		if err := os.Mkdir(string(d), 0o700); err != nil {
			t.Fatal(err)
		}
		d.writeAll(t, ours.Server(t), ours)
		return d
	}
	first := state("..2026_11_22_10", before)
	if err := data.linkTo(first); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.crt", "tls.key", "clients.pem"} {
		if err := os.Symlink(filepath.Join("..data", name), f.at(name)); err != nil {
			t.Fatal(err)
		}
	}
	s, log := load(t, f.files(), certs.Options{PollInterval: never})
	run(t, s)
	address := echoServer(t, s)
	for i, ours := range []*certstest.Authority{after, before, after} {
		next := state("..2026_11_22_1"+string(rune('1'+i)), ours)
		if err := data.linkTo(next); err != nil {
			t.Fatal(err)
		}
		log.next(t, reloaded)
		if err := os.RemoveAll(string(first)); err != nil {
			t.Fatal(err)
		}
		first = next
		wantHandshake(t, address, client(ours, ours.Client(t, "a.example")), true)
	}
	log.none(t)
}

// TestRunCertificateBeforeKey checks that a new certificate is used only once its key has been
// written too.
func TestRunCertificateBeforeKey(t *testing.T) {
	ours := certstest.New(t, "ours")
	f := newFolder(t, ours.Server(t), ours)
	s, log := load(t, f.files(), certs.Options{PollInterval: never})
	run(t, s)
	address := echoServer(t, s)
	next := longLived(t, ours)
	f.write(t, "tls.crt", next.Certificate)
	log.next(t, notReloaded, f.at("tls.key")+" isn't the private key of certificate")
	wantHandshake(t, address, client(ours, ours.Client(t, "a.example")), true)
	f.write(t, "tls.key", next.Key)
	awaitReload(t, s, log, next)
	wantHandshake(t, address, client(ours, ours.Client(t, "a.example")), true)
}

// TestUnchangedFilesLogNothing checks that a file which hasn't changed since the last check causes
// no message, whether it is valid or not. Writing a file again with the same content causes none
// either.
func TestUnchangedFilesLogNothing(t *testing.T) {
	ours := certstest.New(t, "ours")
	server, next := ours.Server(t), ours.Server(t)
	f := newFolder(t, server, ours)
	s, log := load(t, f.files(), certs.Options{})
	same := func() {
		for range 3 {
			s.ReloadIfChanged()
		}
		log.none(t)
	}
	same()
	f.moveFrom(t, newFolder(t, server, ours))
	if err := os.Chtimes(f.at("tls.crt"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	f.write(t, "unrelated", "text")
	same()
	s.Reload()
	log.none(t)

	f.write(t, "tls.crt", next.Certificate)
	s.ReloadIfChanged()
	log.next(t, notReloaded, f.at("tls.key")+" isn't the private key of certificate")
	same()
	s.Reload() // an explicit reload logs the problem again
	log.next(t, notReloaded)
	if err := os.Remove(f.at("tls.crt")); err != nil {
		t.Fatal(err)
	}
	s.ReloadIfChanged()
	log.next(t, notReloaded, f.at("tls.crt")+" can't be read: no such file or directory")
	same()

	f.write(t, "tls.crt", server.Certificate) // the first certificate again
	s.ReloadIfChanged()
	log.next(t, reloaded)
	same()
	f.moveFrom(t, newFolder(t, next, ours))
	s.ReloadIfChanged()
	log.next(t, reloaded)
	same()
}

// TestRunPolls checks that a change is found even if no event reports it.
func TestRunPolls(t *testing.T) {
	ours := certstest.New(t, "ours")
	here := folder(t.TempDir())
	between := folder(filepath.Join(t.TempDir(), "between"))
	first := newFolder(t, ours.Server(t), ours)
	next := newFolder(t, longLived(t, ours), ours)
	if err := between.linkTo(first); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.crt", "tls.key", "clients.pem"} {
		if err := os.Symlink(between.at(name), here.at(name)); err != nil {
			t.Fatal(err)
		}
	}
	s, log := load(t, here.files(), certs.Options{PollInterval: 10 * time.Millisecond})
	run(t, s)
	for _, to := range []folder{next, first} {
		if err := between.linkTo(to); err != nil {
			t.Fatal(err)
		}
		log.next(t, reloaded)
	}
	log.none(t)
}
