package service_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/ops"
)

// dud hands out keys that don't sign, for the paths that it was told.
type zeroKeySecrets struct {
	service.Secrets

	mu    sync.Mutex
	paths map[string]bool
}

func (keys *zeroKeySecrets) set(paths ...string) {
	keys.mu.Lock()
	defer keys.mu.Unlock()
	keys.paths = map[string]bool{}
	for _, path := range paths {
		keys.paths[path] = true
	}
}

// State implements service.Secrets.
func (keys *zeroKeySecrets) State(ref secrets.Ref) (secrets.State, bool) {
	state, ok := keys.Secrets.State(ref)
	keys.mu.Lock()
	defer keys.mu.Unlock()
	if state.Held != nil && keys.paths[ref.Path] {
		state.Held = &secrets.Held{Status: state.Status, Refreshed: state.Held.Refreshed}
	}
	return state, ok
}

var everyPath = []string{"sso/acme-customers", "sso/acme-staff", "sso/acme-both", "sso/acme-off"}

// TestSelfTest: a configuration that can't sign is at fault, with the reason, wherever an operator
// looks, and takes no other with it. Nothing of the test is on record.
func TestSelfTest(t *testing.T) {
	keys := &zeroKeySecrets{}
	keys.set("sso/acme-staff")
	s := start(t, settings{
		configuration: configuration,
		secrets:       func(ring service.Secrets) service.Secrets { keys.Secrets = ring; return keys },
	})
	const fault = "self-test: signing with version 0: secrets: the zero Key neither signs nor verifies"
	if ready := s.ops(t, "/readyz"); !strings.Contains(ready, `{"ready":true,`) ||
		!strings.Contains(ready, `"acme-staff":{"state":"unusable","active_version":1,"serial":0,"fault":"`+fault) ||
		!strings.Contains(ready, `"acme-customers":{"state":"usable"`) || strings.Count(ready, "self-test") != 1 {
		t.Errorf("/readyz: %s", ready)
	}
	health := healthpb.NewHealthClient(dialOps(t, s))
	for name, want := range map[string]healthpb.HealthCheckResponse_ServingStatus{
		"acme-staff": healthpb.HealthCheckResponse_NOT_SERVING, "acme-customers": healthpb.HealthCheckResponse_SERVING, "": healthpb.HealthCheckResponse_SERVING,
	} {
		if r, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name}); err != nil ||
			r.GetStatus() != want {
			t.Errorf("health of %q: %v %v", name, r, err)
		}
	}
	if !strings.Contains(s.ops(t, "/metrics"), `deskmint_secret_usable{configuration="acme-staff"} 0`) {
		t.Error("the metrics call it usable")
	}
	if log := s.Log.String(); strings.Count(log, "the self-test of a configuration failed") != 1 ||
		!strings.Contains(log, `"configuration":"acme-staff"`) {
		t.Errorf("logged: %s", log)
	}
	mint(t, s, transport{"grpc", sendGRPC}, call{body: user("")})
	if all := records(t, s); len(all) != 1 {
		t.Errorf("%d records, want the one of the sign-in", len(all))
	}
	// The key that follows is tested when somebody asks.
	keys.set()
	if ready := s.ops(t, "/readyz"); strings.Contains(ready, "self-test") {
		t.Errorf("/readyz: %s", ready)
	}
	if log := s.Log.String(); !strings.Contains(log, "the self-test of a configuration passes again") {
		t.Errorf("logged: %s", log)
	}
	// A reload after which nothing would sign is refused whole.
	keys.set(everyPath...)
	next := parse(t, withRenamedBrand())
	if err := s.Swap(t.Context(), next); err == nil ||
		!strings.Contains(err.Error(), "the self-test fails for each of the 5 configurations") {
		t.Errorf("a swap to nothing that signs: %v", err)
	}
	if ready := s.ops(t, "/readyz"); strings.Contains(ready, next.Digest) {
		t.Error("it was swapped to all the same")
	}
}

// TestNotReady: a replica that can sign nothing opens no transport, says why, and opens them when
// it can.
func TestNotReady(t *testing.T) {
	keys := &zeroKeySecrets{Secrets: secrets.NewKeyring(secrets.Options{Source: newStore(), MaxRate: 1e6})}
	keys.set(everyPath...)
	checkBecomesReady(t, keys, "the self-test fails for each of the 5 configurations whose secrets are held",
		func() { keys.set() })
}

// TestNotReadyWithoutStore: a replica that starts while the store is away holds no secret, so it
// takes no requests before the store answers.
func TestNotReadyWithoutStore(t *testing.T) {
	source := newStore()
	source.SetError(errors.New("sealed"))
	ring := secrets.NewKeyring(secrets.Options{Source: source, MaxRate: 1e6})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = ring.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	checkBecomesReady(t, ring, "no secret has been loaded: ", func() { source.SetError(nil) })
}

// TestReadyWithoutSecrets: where the store answers, a fault of every secret doesn't keep a replica
// from being ready.
func TestReadyWithoutSecrets(t *testing.T) {
	source := newStore()
	for _, path := range append(everyPath, "sso/acme-broken") {
		source.Remove(path)
	}
	r := serveSecrets(t, secrets.NewKeyring(secrets.Options{Source: source, MaxRate: 1e6}))
	r.awaitReady(t)
}

// TestKnownAnswer shows that a wrong algorithm, which verifies its own signatures, is found.
func TestKnownAnswer(t *testing.T) {
	if err := ops.KnownAnswer(t.Context(), secrets.NewKey); err != nil {
		t.Error(err)
	}
	another := func(v secrets.Version, value []byte) (secrets.Key, error) {
		return secrets.NewKey(v, append(value, 'x'))
	}
	if err := ops.KnownAnswer(t.Context(), another); err == nil || !strings.Contains(err.Error(), "RFC 7515") {
		t.Errorf("another signature: %v", err)
	}
}

// TestWatch: a watch tells each change of a configuration's state, and ends with the service.
func TestWatch(t *testing.T) {
	s := start(t, settings{configuration: configuration, timeout: 100 * time.Millisecond})
	health := healthpb.NewHealthClient(dialOps(t, s))
	next := func(service string) func(want healthpb.HealthCheckResponse_ServingStatus) {
		watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return func(want healthpb.HealthCheckResponse_ServingStatus) {
			t.Helper()
			if r, err := watch.Recv(); err != nil || r.GetStatus() != want {
				t.Errorf("%q: %v %v, want %v", service, r.GetStatus(), err, want)
			}
		}
	}
	const up, down, unknown = healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING, healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	process, customers, nowhere := next(""), next("configurations/acme-customers"), next("acme-nowhere")
	process(up)
	customers(up)
	nowhere(unknown)
	<-time.After(600 * time.Millisecond) // longer than the listener waits for any other answer
	s.disableSecret(t, "sso/acme-customers")
	customers(down)
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(waitTimeout):
		t.Fatal("the service waits for whoever watches")
	}
}

// BenchmarkSelfTest is what each configuration adds to a start.
func BenchmarkSelfTest(b *testing.B) {
	conf, _ := parse(b, configuration).Configuration("acme-staff")
	key, err := secrets.NewKey(1, []byte(staffSecret))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := conf.Profile.SelfTest(b.Context(), key, now); err != nil {
			b.Fatal(err)
		}
	}
}
