//go:build long

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soakPlan is how long, how hard, and what happens how often.
type soakPlan struct {
	length                            time.Duration
	rate                              int // mints a second; zero: half of what there can be
	rotate, reload, restart, stepDown time.Duration
	env                               []string // of the replicas
}

// soakMaxStale is longer than Vault is ever away here: max_stale is TestFleet's subject.
const soakMaxStale = 10 * time.Minute

// soakPlanned is a short one, unless the environment asks for another: docs/soak.md.
func soakPlanned(t *testing.T) soakPlan {
	t.Helper()
	length := os.Getenv("DESKMINT_SOAK")
	if length == "" {
		// GOGC, so that there are collections enough for what lives to be seen within a minute.
		return soakPlan{40 * time.Second, 150, 3 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, []string{"GOGC=25"}}
	}
	p := soakPlan{rotate: 10 * time.Second, reload: 15 * time.Second, restart: 30 * time.Second, stepDown: time.Minute}
	var err error
	if p.length, err = time.ParseDuration(length); err != nil {
		t.Fatalf("DESKMINT_SOAK: %v", err)
	}
	if rate := os.Getenv("DESKMINT_SOAK_RATE"); rate != "" {
		if p.rate, err = strconv.Atoi(rate); err != nil {
			t.Fatalf("DESKMINT_SOAK_RATE: %v", err)
		}
	}
	return p
}

// TestSoak is a bad day in a minute, or in as long as is asked for: secrets are rotated,
// configurations changed, replicas replaced and Vault's leaders stepped down, each at its own pace
// and none waiting for another, while people sign in. Not one of them may notice, and the replica
// that lives through it all may not grow.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	stop := s.backend.load(t, s.rate)
	<-time.After(s.length / 8) // until all that is kept for good is there
	stop()
	before := s.survivor.held(t) // at rest, as after: a call that is under way has a goroutine
	stop = s.backend.load(t, s.rate)
	s.disturb(t)
	stop()
	after := s.survivor.held(t)
	mints, said := s.backend.account(t)
	t.Logf("%v at %d a second (%s): %s; %d rotations, %d reloads, %d restarts, %d step-downs; an operator's command was repeated %d times; the replica that lived: before %v, after %v",
		s.length, s.rate, s.most, said, s.rotations.Load(), s.reloads.Load(), s.restarts.Load(), s.stepDowns.Load(), s.repeated.Load(), before, after)
	// A goroutine for each reload or rotation would show, and a few hundred bytes for each mint; in
	// ten minutes a few.
	if after.goroutines > before.goroutines+8 || after.live > before.live+(2<<20) || after.resident > before.resident+(64<<20) {
		t.Errorf("the replica that lived held %v before and %v after", before, after)
	}
	s.settled(t)
	s.onRecord(t, mints)
}

// soak is a fleet of processes and those who disturb it.
type soak struct {
	*fleet
	soakPlan

	backend  *backend
	survivor *deskmint // the last of the replicas; the others are restarted in turn
	most     string

	rotations, reloads, restarts, stepDowns, repeated atomic.Int64
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{soakPlan: soakPlanned(t), fleet: fleetOf(t, soakMaxStale, "audit: {output: audit.log}\n"), most: "asked for"}
	// One caller is all of the load, beyond what a grant allows unless it says so.
	const hosts = "return_to_hosts: [\"*\"]\n"
	write(t, s.config, strings.Replace(readFile(t, s.config), hosts, hosts+"        rate: {per_second: 100000, burst: 100000}\n", 1))
	var addresses []string
	for range 3 {
		d := spawnIn(t, s.env, s.binary, serveArgs(s.config)...)
		d.begin(t)
		s.replicas, addresses = append(s.replicas, d), append(addresses, d.grpc)
	}
	s.survivor = s.replicas[2]
	s.backend = newBackend(t, s.key, addresses...)
	s.backend.learns(1, s.values[1])
	if s.rate == 0 {
		s.backend.most(t, 5*time.Second) // until all is warm
		most := s.backend.most(t, 10*time.Second)
		s.rate, s.most = most/2, fmt.Sprintf("half of %d", most)
	}
	return s
}

// disturb returns when the time is over, each thing has happened twice, and what had begun is done.
func (s *soak) disturb(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), s.length)
	defer cancel()
	var all sync.WaitGroup
	for _, d := range []struct {
		period time.Duration
		act    func(t *testing.T, n int)
		done   *atomic.Int64
	}{
		{s.rotate, s.rotateOnce, &s.rotations},
		{s.reload, s.reloadOnce, &s.reloads},
		{s.restart, s.restartOnce, &s.restarts},
		{s.stepDown, s.stepDownOnce, &s.stepDowns},
		{s.length / 10, s.look, new(atomic.Int64)},
	} {
		all.Go(func() {
			for pace := time.NewTicker(d.period); ; {
				over := ctx.Done()
				if d.done.Load() < 2 { // a slow machine gets more time
					over = nil
				}
				select {
				case <-over:
					return
				case <-t.Context().Done():
					return
				case <-pace.C:
					d.act(t, int(d.done.Load()))
					d.done.Add(1)
				}
			}
		})
	}
	all.Wait()
	for name, n := range map[string]int64{"rotations": s.rotations.Load(), "reloads": s.reloads.Load(), "restarts": s.restarts.Load(), "step-downs": s.stepDowns.Load()} {
		if n < 2 {
			t.Errorf("%d %s, want two at least", n, name)
		}
	}
}

var itsVersion = regexp.MustCompile(`version (\d+)`)

// rotateOnce stages a value and activates it, as an operator does: where the store is away they try
// again, and may be told that it was done the first time.
func (s *soak) rotateOnce(t *testing.T, n int) {
	value := fmt.Sprintf("MARKER-soak-%06d-0123456789-0123456789-0123456789", n)
	var version uint32
	eventually(t, func() error {
		said, err := s.try(t, "stage", value)
		if err != nil {
			s.repeated.Add(1)
			if !strings.Contains(err.Error(), "the value is that of version") {
				return err
			}
			said = err.Error()
		}
		number, err := strconv.ParseUint(itsVersion.FindStringSubmatch(said)[1], 10, 32)
		version = uint32(number)
		return err
	})
	s.backend.learns(version, value)
	eventually(t, func() error {
		_, err := s.try(t, "activate", "", "--version", fmt.Sprint(version))
		if err != nil && s.backend.signed(version) == 0 {
			s.repeated.Add(1)
			return err
		}
		return nil
	})
	eventually(t, func() error {
		if s.backend.signed(version) == 0 {
			return fmt.Errorf("nobody signs with version %d", version)
		}
		return nil
	})
}

// reloadOnce gives the configuration another brand, or takes it away, and waits for the replica
// that lives.
func (s *soak) reloadOnce(t *testing.T, n int) {
	const one, two = `subdomain: acme}]`, `subdomain: acme, default: true}, {id: "360002", name: Labs, subdomain: acme-labs}]`
	text := readFile(t, s.config)
	if n%2 == 0 {
		text = strings.Replace(text, one, two, 1)
	} else {
		text = strings.Replace(text, two, one, 1)
	}
	write(t, s.config, text)
	eventually(t, func() error {
		if got := s.survivor.metric(t, `deskmint_config_reloads_total{result="succeeded"}`); int(got) != n+1 {
			return fmt.Errorf("%v reloads, want %d", got, n+1)
		}
		return nil
	})
}

// restartOnce ends one of the first two as Kubernetes does, and has another process take its
// addresses.
func (s *soak) restartOnce(t *testing.T, n int) {
	old := s.replicas[n%2]
	if err := old.end(); err != nil {
		t.Errorf("a replica ended with %v:\n%s", err, &old.err)
	}
	old.silent(t, s.key, s.token, "MARKER", "hvs.")
	eventually(t, func() error {
		d := spawnIn(t, s.env, s.binary, "serve", "--config", s.config,
			"--grpc-listen", old.grpc, "--http-listen", old.http, "--ops-listen", old.ops)
		if text, ok := d.out.await("\nready\n", d.ended); !ok {
			// Somebody else may have been given the port meanwhile.
			return fmt.Errorf("not ready: %s%s", text, &d.err)
		}
		d.begin(t)
		s.replicas[n%2] = d
		return nil
	})
}

// stepDownOnce has another server lead.
func (s *soak) stepDownOnce(t *testing.T, _ int) {
	s.vault.Leader(t).StepDown(t)
	s.vault.Leader(t)
}

func (s *soak) look(t *testing.T, n int) {
	t.Logf("%d/10, under load: %v", n+1, s.survivor.held(t))
}

// settled holds every replica to what was done last, and to having told no secret.
func (s *soak) settled(t *testing.T) {
	t.Helper()
	last := 1 + int(s.rotations.Load())
	for i, d := range s.replicas {
		eventually(t, func() error {
			if ready, all := d.readyz(t); !ready || all["acme-customers"].Active < last {
				return fmt.Errorf("replica %d is ready: %v; %+v, want version %d", i, ready, all, last)
			}
			return nil
		})
		d.silent(t, s.key, s.token, "MARKER", "hvs.")
	}
}

// onRecord wants a record for each token, and each in a line of its own though three processes
// write them.
func (s *soak) onRecord(t *testing.T, mints int) {
	t.Helper()
	file, err := os.Open(filepath.Join(filepath.Dir(s.config), "audit.log"))
	must(t, err)
	defer file.Close()
	allowed := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}") || strings.Contains(line, "MARKER") {
			t.Fatalf("a record is %s", line)
		}
		if strings.Contains(line, `"decision":"allow"`) {
			allowed++
		}
	}
	must(t, lines.Err())
	if allowed < mints {
		t.Errorf("%d tokens are on record, and %d were minted", allowed, mints)
	}
}

// footprint is what a process holds.
type footprint struct {
	goroutines     int
	live, resident float64 // bytes: of the heap, what the last collection left; of the process
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB live, %.1f MiB resident", f.goroutines, f.live/(1<<20), f.resident/(1<<20))
}

// held is the least of several looks: the end of what has ended takes a moment.
func (d *deskmint) held(t *testing.T) (least footprint) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections() // the other end of each is a goroutine there
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for n := range 20 {
		<-pace.C
		response, err := http.Get("http://" + d.ops + "/metrics")
		must(t, err)
		metrics := readAnswer(t, response).body
		value := func(name string) (v float64) {
			_, after, _ := strings.Cut(metrics, "\n"+name+" ")
			if _, err := fmt.Sscan(after, &v); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return v
		}
		// The next collection comes when so many per cent more than lived at the last one are
		// there.
		live := value("go_memstats_next_gc_bytes") / (1 + value("go_gc_gogc_percent")/100)
		now := footprint{int(value("go_goroutines")), live, value("process_resident_memory_bytes")}
		if n == 0 {
			least = now
		}
		least = footprint{min(least.goroutines, now.goroutines), min(least.live, now.live), min(least.resident, now.resident)}
	}
	return least
}
