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

// soakPlan has the duration and the load of the test, and how often each disturbance happens.
type soakPlan struct {
	length                            time.Duration
	rate                              int // mints a second; zero means half of the possible rate
	rotate, reload, restart, stepDown time.Duration
	env                               []string // of the replicas
}

// soakMaxStale is longer than Vault is ever unavailable in this test. TestFleet tests max_stale.
const soakMaxStale = 10 * time.Minute

// soakPlanned returns a short plan, unless the environment configures another one, as docs/soak.md
// describes.
func soakPlanned(t *testing.T) soakPlan {
	t.Helper()
	length := os.Getenv("DESKMINT_SOAK")
	if length == "" {
		// A low GOGC causes enough collections to measure the live heap within a minute.
		return soakPlan{
			40 * time.Second,
			150,
			3 * time.Second,
			4 * time.Second,
			8 * time.Second,
			15 * time.Second,
			[]string{"GOGC=25"},
		}
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

// TestSoak compresses a bad day into a minute, or into the configured duration. Secrets are
// rotated, configurations changed, replicas replaced and Vault's leaders stepped down, each on its
// own schedule, while people sign in. No sign-in may fail. The memory of the replica that is never
// restarted may not grow.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	stop := s.backend.load(t, s.rate)
	<-time.After(s.length / 8) // until everything permanent is allocated
	stop()
	before := s.survivor.measureFootprint(t) // without load, because a call in flight has a goroutine
	stop = s.backend.load(t, s.rate)
	s.runDisturbances(t)
	stop()
	after := s.survivor.measureFootprint(t)
	mints, parsed := s.backend.summary(t)
	t.Logf("%v at %d a second (%s): %s; %d rotations, %d reloads, %d restarts, %d step-downs; an operator's command "+
		"was repeated %d times; the replica that lived: before %v, after %v",
		s.length, s.rate, s.most, parsed, s.rotations.Load(), s.reloads.Load(), s.restarts.Load(), s.stepDowns.Load(),
		s.repeated.Load(), before, after)
	// A leak of one goroutine in each reload or rotation would be visible, and a leak of a few
	// hundred bytes in each mint. In ten minutes, a leak of a few bytes would be.
	if after.goroutines > before.goroutines+8 || after.live > before.live+(2<<20) ||
		after.resident > before.resident+(64<<20) {
		t.Errorf("the replica that was never restarted used %v before and %v after", before, after)
	}
	s.checkState(t)
	s.checkRecords(t, mints)
}

// soak is a fleet of processes and the disturbances.
type soak struct {
	*fleet
	soakPlan

	backend  *backend
	survivor *deskmint // the last replica; the others are restarted in turn
	most     string

	rotations, reloads, restarts, stepDowns, repeated atomic.Int64
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{
		soakPlan: soakPlanned(t),
		fleet:    newFleetWithoutReplicas(t, soakMaxStale, "audit: {output: audit.log}\n"),
		most:     "configured",
	}
	// The load has only one caller, and exceeds the default limit of a grant.
	const hosts = "return_to_hosts: [\"*\"]\n"
	write(t, s.config,
		strings.Replace(readFile(t, s.config), hosts, hosts+"        rate: {per_second: 100000, burst: 100000}\n", 1))
	var addresses []string
	for range 3 {
		d := spawnIn(t, s.env, s.binary, serveArgs(s.config)...)
		d.awaitStart(t)
		s.replicas, addresses = append(s.replicas, d), append(addresses, d.grpc)
	}
	s.survivor = s.replicas[2]
	s.backend = newBackend(t, s.key, addresses...)
	s.backend.addValue(1, s.values[1])
	if s.rate == 0 {
		s.backend.measureRate(t, 5*time.Second) // as a warm-up
		most := s.backend.measureRate(t, 10*time.Second)
		s.rate, s.most = most/2, fmt.Sprintf("half of %d", most)
	}
	return s
}

// runDisturbances returns when the time is over, each disturbance has happened twice, and all of
// them have ended.
func (s *soak) runDisturbances(t *testing.T) {
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
		{s.length / 10, s.logFootprint, new(atomic.Int64)},
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
	for name, n := range map[string]int64{
		"rotations":  s.rotations.Load(),
		"reloads":    s.reloads.Load(),
		"restarts":   s.restarts.Load(),
		"step-downs": s.stepDowns.Load(),
	} {
		if n < 2 {
			t.Errorf("%d %s, want two at least", n, name)
		}
	}
}

var itsVersion = regexp.MustCompile(`version (\d+)`)

// rotateOnce stages a value and activates it, as an operator does. If the store is unavailable, it
// tries again. The second try may report that the first one has succeeded.
func (s *soak) rotateOnce(t *testing.T, n int) {
	value := fmt.Sprintf("MARKER-soak-%06d-0123456789-0123456789-0123456789", n)
	var version uint32
	eventually(t, func() error {
		parsed, err := s.trySecret(t, "stage", value)
		if err != nil {
			s.repeated.Add(1)
			if !strings.Contains(err.Error(), "the value is that of version") {
				return err
			}
			parsed = err.Error()
		}
		number, err := strconv.ParseUint(itsVersion.FindStringSubmatch(parsed)[1], 10, 32)
		version = uint32(number)
		return err
	})
	s.backend.addValue(version, value)
	eventually(t, func() error {
		_, err := s.trySecret(t, "activate", "", "--version", fmt.Sprint(version))
		if err != nil && s.backend.mintCount(version) == 0 {
			s.repeated.Add(1)
			return err
		}
		return nil
	})
	eventually(t, func() error {
		if s.backend.mintCount(version) == 0 {
			return fmt.Errorf("no replica signs with version %d", version)
		}
		return nil
	})
}

// reloadOnce adds a brand to the configuration, or removes it, and waits for the replica that is
// never restarted.
func (s *soak) reloadOnce(t *testing.T, n int) {
	const (
		one = `subdomain: acme}]`
		two = `subdomain: acme, default: true}, {id: "360002", name: Labs, subdomain: acme-labs}]`
	)
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

// restartOnce ends one of the first two replicas as Kubernetes does, and starts another process at
// the same addresses.
func (s *soak) restartOnce(t *testing.T, n int) {
	old := s.replicas[n%2]
	if err := old.end(); err != nil {
		t.Errorf("a replica ended with %v:\n%s", err, &old.err)
	}
	old.checkNoSecrets(t, s.key, s.token, "MARKER", "hvs.")
	eventually(t, func() error {
		d := spawnIn(t, s.env, s.binary, "serve", "--config", s.config,
			"--grpc-listen", old.grpc, "--http-listen", old.http, "--ops-listen", old.ops)
		if text, ok := d.out.await("\nready\n", d.ended); !ok {
			// Another process may have taken the port meanwhile.
			return fmt.Errorf("not ready: %s%s", text, &d.err)
		}
		d.awaitStart(t)
		s.replicas[n%2] = d
		return nil
	})
}

// stepDownOnce makes another server the leader of Vault.
func (s *soak) stepDownOnce(t *testing.T, _ int) {
	s.vault.Leader(t).StepDown(t)
	s.vault.Leader(t)
}

func (s *soak) logFootprint(t *testing.T, n int) {
	t.Logf("%d/10, under load: %v", n+1, s.survivor.measureFootprint(t))
}

// checkState checks that every replica follows the last change, and that no output contains a
// secret.
func (s *soak) checkState(t *testing.T) {
	t.Helper()
	last := 1 + int(s.rotations.Load())
	for i, d := range s.replicas {
		eventually(t, func() error {
			if ready, all := d.readyz(t); !ready || all["acme-customers"].Active < last {
				return fmt.Errorf("replica %d is ready: %v; %+v, want version %d", i, ready, all, last)
			}
			return nil
		})
		d.checkNoSecrets(t, s.key, s.token, "MARKER", "hvs.")
	}
}

// checkRecords checks that each token has a record. Each record must be one line, although three
// processes write them.
func (s *soak) checkRecords(t *testing.T, mints int) {
	t.Helper()
	file, err := os.Open(filepath.Join(filepath.Dir(s.config), "audit.log"))
	must(t, err)
	defer file.Close()
	allowed := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}") || strings.Contains(line, "MARKER") {
			t.Fatalf("not a record: %s", line)
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

// footprint is what a process uses.
type footprint struct {
	goroutines     int
	live, resident float64 // bytes: the heap after the last collection, and the resident memory
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %.1f MiB live, %.1f MiB resident", f.goroutines, f.live/(1<<20),
		f.resident/(1<<20))
}

// measureFootprint returns the lowest of several measurements, because goroutines and connections
// need a moment to end.
func (d *deskmint) measureFootprint(t *testing.T) (least footprint) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections() // each has a goroutine at the server
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
		// The next collection starts when the heap exceeds the live heap by this percentage. So the
		// live heap can be calculated.
		live := value("go_memstats_next_gc_bytes") / (1 + value("go_gc_gogc_percent")/100)
		now := footprint{int(value("go_goroutines")), live, value("process_resident_memory_bytes")}
		if n == 0 {
			least = now
		}
		least = footprint{
			min(least.goroutines, now.goroutines), min(least.live, now.live), min(least.resident, now.resident),
		}
	}
	return least
}
