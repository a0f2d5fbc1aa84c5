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
	reloaded = `"msg":"the TLS certificates were reloaded"`
	kept     = `"msg":"the TLS certificates were not reloaded; those before go on"`
)

// never is an interval that no test lasts.
const never = 24 * time.Hour

// TestFollowing: however a file is replaced, the next handshakes have the new one,
// and connections that are open go on.
func TestFollowing(t *testing.T) {
	before, after := certstest.New(t, "before"), certstest.New(t, "after")
	for name, replace := range map[string]func(*testing.T, folder, certstest.Pair){
		"written in place": func(t *testing.T, f folder, p certstest.Pair) { f.put(t, p, after) },
		"renamed":          func(t *testing.T, f folder, p certstest.Pair) { f.take(t, newFolder(t, p, after)) },
		"made links, and written in place": func(t *testing.T, f folder, p certstest.Pair) {
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
		"the folder replaced": func(t *testing.T, f folder, p certstest.Pair) {
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
			s, log := load(t, f.files(), certs.Options{Poll: never})
			follow(t, s)
			address := echo(t, s)
			open, err := connect(address, client(before, before.Client(t, "a.example")))
			if err != nil {
				t.Fatal(err)
			}
			defer open.Close()
			server := lasting(t, after)
			replace(t, f, server)
			awaitReload(t, s, log, server)

			serves(t, address, client(after, after.Client(t, "a.example")), true)
			serves(t, address, client(after), true)
			serves(t, address, client(after, before.Client(t, "a.example")), false)
			serves(t, address, client(before), false)
			if err := ping(open); err != nil {
				t.Errorf("a connection that was open: %v", err)
			}
			// It follows where that has led to.
			again := before.Issue(t,
				x509.Certificate{DNSNames: []string{"localhost"}, NotAfter: time.Now().AddDate(0, 0, 90)})
			f.put(t, again, before)
			awaitReload(t, s, log, again)
		})
	}
}

// lasting is a certificate that can be told from others by its end.
func lasting(t *testing.T, a *certstest.Authority) certstest.Pair {
	t.Helper()
	return a.Issue(t, x509.Certificate{DNSNames: []string{"localhost"}, NotAfter: time.Now().AddDate(0, 0, 60)})
}

// awaitReload reads the log until the pair is served. On a slow machine there may be
// looks before, at less than all of it: the key comes last.
func awaitReload(t *testing.T, s *certs.Store, log lines, pair certstest.Pair) (lines []string) {
	t.Helper()
	for {
		lines = append(lines, log.next(t))
		if strings.Contains(lines[len(lines)-1], reloaded) && s.NotAfter().Equal(pair.TLS.Leaf.NotAfter) {
			return lines
		}
	}
}

// TestFolderAway: a folder that was missing is found when it is there again.
func TestFolderAway(t *testing.T) {
	ours := certstest.New(t, "ours")
	f := folder(filepath.Join(t.TempDir(), "tls"))
	first, next := newFolder(t, ours.Server(t), ours), newFolder(t, lasting(t, ours), ours)
	if err := os.Rename(string(first), string(f)); err != nil {
		t.Fatal(err)
	}
	s, log := load(t, f.files(), certs.Options{Poll: never})
	follow(t, s)
	if err := os.Rename(string(f), string(first)); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(log.next(t), kept) {
		// before it, where the watch hadn't begun yet, comes that there can be none
	}
	if err := os.Rename(string(next), string(f)); err != nil {
		t.Fatal(err)
	}
	log.next(t, reloaded)
	log.none(t)
}

// TestMounts: Kubernetes puts each state of a ConfigMap or Secret in a folder of its
// own, to which one link leads; every file is a link through that one.
func TestMounts(t *testing.T) {
	before, after := certstest.New(t, "before"), certstest.New(t, "after")
	f := folder(t.TempDir())
	data := folder(f.at("..data"))
	state := func(name string, ours *certstest.Authority) folder {
		d := folder(f.at(name))
		if err := os.Mkdir(string(d), 0o700); err != nil {
			t.Fatal(err)
		}
		d.put(t, ours.Server(t), ours)
		return d
	}
	first := state("..2026_11_22_10", before)
	if err := data.lead(first); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.crt", "tls.key", "clients.pem"} {
		if err := os.Symlink(filepath.Join("..data", name), f.at(name)); err != nil {
			t.Fatal(err)
		}
	}
	s, log := load(t, f.files(), certs.Options{Poll: never})
	follow(t, s)
	address := echo(t, s)
	for i, ours := range []*certstest.Authority{after, before, after} {
		next := state("..2026_11_22_1"+string(rune('1'+i)), ours)
		if err := data.lead(next); err != nil {
			t.Fatal(err)
		}
		log.next(t, reloaded)
		if err := os.RemoveAll(string(first)); err != nil {
			t.Fatal(err)
		}
		first = next
		serves(t, address, client(ours, ours.Client(t, "a.example")), true)
	}
	log.none(t)
}

// TestHalfPair: a certificate without its key changes nothing, and is taken when the
// key has come too.
func TestHalfPair(t *testing.T) {
	ours := certstest.New(t, "ours")
	f := newFolder(t, ours.Server(t), ours)
	s, log := load(t, f.files(), certs.Options{Poll: never})
	follow(t, s)
	address := echo(t, s)
	next := lasting(t, ours)
	f.write(t, "tls.crt", next.Certificate)
	log.next(t, kept, f.at("tls.key")+" isn't the private key of certificate")
	serves(t, address, client(ours, ours.Client(t, "a.example")), true)
	f.write(t, "tls.key", next.Key)
	awaitReload(t, s, log, next)
	serves(t, address, client(ours, ours.Client(t, "a.example")), true)
}

// TestToldOnce: looks at what hasn't changed since the last one, whether it could be
// served with or not, say nothing. Neither does writing a file again as it was.
func TestToldOnce(t *testing.T) {
	ours := certstest.New(t, "ours")
	server, next := ours.Server(t), ours.Server(t)
	f := newFolder(t, server, ours)
	s, log := load(t, f.files(), certs.Options{})
	same := func() {
		for range 3 {
			s.Follow()
		}
		log.none(t)
	}
	same()
	f.take(t, newFolder(t, server, ours))
	if err := os.Chtimes(f.at("tls.crt"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	f.write(t, "unrelated", "text")
	same()
	s.Reload()
	log.none(t)

	f.write(t, "tls.crt", next.Certificate)
	s.Follow()
	log.next(t, kept, f.at("tls.key")+" isn't the private key of certificate")
	same()
	s.Reload() // who asks is told again
	log.next(t, kept)
	if err := os.Remove(f.at("tls.crt")); err != nil {
		t.Fatal(err)
	}
	s.Follow()
	log.next(t, kept, f.at("tls.crt")+" can't be read: no such file or directory")
	same()

	f.write(t, "tls.crt", server.Certificate) // as it was in the beginning
	s.Follow()
	log.next(t, reloaded)
	same()
	f.take(t, newFolder(t, next, ours))
	s.Follow()
	log.next(t, reloaded)
	same()
}

// TestPoll: a change that no watched folder tells of is found all the same.
func TestPoll(t *testing.T) {
	ours := certstest.New(t, "ours")
	here := folder(t.TempDir())
	between := folder(filepath.Join(t.TempDir(), "between"))
	first := newFolder(t, ours.Server(t), ours)
	next := newFolder(t, lasting(t, ours), ours)
	if err := between.lead(first); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tls.crt", "tls.key", "clients.pem"} {
		if err := os.Symlink(between.at(name), here.at(name)); err != nil {
			t.Fatal(err)
		}
	}
	s, log := load(t, here.files(), certs.Options{Poll: 10 * time.Millisecond})
	follow(t, s)
	for _, to := range []folder{next, first} {
		if err := between.lead(to); err != nil {
			t.Fatal(err)
		}
		log.next(t, reloaded)
	}
	log.none(t)
}
