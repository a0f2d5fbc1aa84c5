package service_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// zeroKeySecrets wraps a keyring and replaces the keys at some paths by the zero Key, which can't
// sign.
type zeroKeySecrets struct {
	service.Secrets

	mu    sync.Mutex
	paths map[string]bool
}

func (z *zeroKeySecrets) set(paths ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.paths = map[string]bool{}
	for _, path := range paths {
		z.paths[path] = true
	}
}

// State implements service.Secrets.
func (z *zeroKeySecrets) State(ref secrets.Ref) (secrets.State, bool) {
	state, ok := z.Secrets.State(ref)
	z.mu.Lock()
	defer z.mu.Unlock()
	if state.Held != nil && z.paths[ref.Path] {
		state.Held = &secrets.Held{Status: state.Status, Refreshed: state.Held.Refreshed}
	}
	return state, ok
}

var everyPath = []string{"sso/acme-customers", "sso/acme-staff", "sso/acme-both", "sso/acme-off"}

// TestSelfTest checks that /readyz, the health service, the metrics and the log report a
// configuration that can't sign. Other configurations are not affected. The self-test writes no
// record.
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
		"acme-staff":     healthpb.HealthCheckResponse_NOT_SERVING,
		"acme-customers": healthpb.HealthCheckResponse_SERVING,
		"":               healthpb.HealthCheckResponse_SERVING,
	} {
		if r, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: name}); err != nil ||
			r.GetStatus() != want {
			t.Errorf("health of %q: %v %v", name, r, err)
		}
	}
	if !strings.Contains(s.ops(t, "/metrics"), `deskmint_secret_usable{configuration="acme-staff"} 0`) {
		t.Error("the metrics report that it is usable")
	}
	if log := s.Log.String(); strings.Count(log, "the self-test of a configuration failed") != 1 ||
		!strings.Contains(log, `"configuration":"acme-staff"`) {
		t.Errorf("the log has %s", log)
	}
	mint(t, s, transport{"grpc", sendGRPC}, call{body: user("")})
	if all := records(t, s); len(all) != 1 {
		t.Errorf("%d records, want only that of the sign-in", len(all))
	}
	// The next key is tested when a probe next reports the state.
	keys.set()
	if ready := s.ops(t, "/readyz"); strings.Contains(ready, "self-test") {
		t.Errorf("/readyz: %s", ready)
	}
	if log := s.Log.String(); !strings.Contains(log, "the self-test of a configuration passes again") {
		t.Errorf("the log has %s", log)
	}
	// A reload is refused if no configuration could sign after it.
	keys.set(everyPath...)
	next := parse(t, withRenamedBrand())
	if err := s.Swap(t.Context(), next); err == nil ||
		!strings.Contains(err.Error(), "the self-test fails for every configuration whose secret is held (5)") {
		t.Errorf("a swap to a configuration that can't sign: %v", err)
	}
	if ready := s.ops(t, "/readyz"); strings.Contains(ready, next.Digest) {
		t.Error("the refused configuration is in use")
	}
}

// TestNotReady checks that a replica that can't sign reports the cause and doesn't become ready
// before it can sign.
func TestNotReady(t *testing.T) {
	keys := &zeroKeySecrets{Secrets: secrets.NewKeyring(secrets.Options{Source: newStore(), MaxRate: 1e6})}
	keys.set(everyPath...)
	checkBecomesReady(t, keys, "the self-test fails for every configuration whose secret is held (5)",
		func() { keys.set() })
}

// TestNotReadyWithoutStore checks that a replica that starts while the store doesn't answer accepts
// no requests before the store answers, because it holds no secret.
func TestNotReadyWithoutStore(t *testing.T) {
	source := newStore()
	source.SetError(errors.New("sealed"))
	checkBecomesReady(t, runKeyring(t, source), "no secret has been loaded: ", func() { source.SetError(nil) })
}

// TestNotReadyWithoutSecrets checks that a replica doesn't become ready while the store answers
// that every secret is missing or may not be read, as with a wrong role. One secret is enough then,
// and so is one that was switched off on purpose.
func TestNotReadyWithoutSecrets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  error
		repair func(*memory.Store)
	}{
		"no secret, then one":     {secrets.ErrNotFound, func(m *memory.Store) { m.SetError(nil) }},
		"no permission, then one": {secrets.ErrDenied, func(m *memory.Store) { m.SetError(nil) }},
		"no secret, then one switched off": {nil, func(m *memory.Store) {
			m.Put("sso/acme-off", "shared_secret", []byte(customersSecret))
			_ = m.Disable("sso/acme-off", true)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := newStore()
			source.SetError(test.fault)
			if test.fault == nil {
				for _, path := range append(everyPath, "sso/acme-broken") {
					source.Remove(path)
				}
			}
			checkBecomesReady(t, runKeyring(t, source), "no secret can be used: secret sso/acme-", func() {
				test.repair(source)
			})
		})
	}
}

// TestReadyForGood checks that a replica that is ready stays ready when nothing can be signed any
// more, so that a fault of the store doesn't take every replica out of the pool.
func TestReadyForGood(t *testing.T) {
	t.Parallel()
	source := newStore()
	r := serveSecrets(t, runKeyring(t, source))
	receive(t, r.ready, "it doesn't become ready")
	source.SetError(secrets.ErrDenied)
	waitUntil(t, func() string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.ops+"/readyz", nil)
		if err != nil {
			return err.Error()
		}
		res, body, err := roundTrip(request)
		if err != nil {
			return err.Error()
		}
		if res.StatusCode != http.StatusOK {
			t.Fatalf("not ready: %s", body)
		}
		if strings.Contains(string(body), `"state":"usable"`) {
			return "a secret is still usable: " + string(body)
		}
		return ""
	})
	r.stop()
	if err := receive(t, r.stopped, "it doesn't stop"); err != nil {
		t.Error(err)
	}
}

// TestWatch checks that a watch reports each change of a configuration's state and ends with the
// service.
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
	const (
		up      = healthpb.HealthCheckResponse_SERVING
		down    = healthpb.HealthCheckResponse_NOT_SERVING
		unknown = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	)
	process, customers, nowhere := next(""), next("configurations/acme-customers"), next("acme-nowhere")
	process(up)
	customers(up)
	nowhere(unknown)
	<-time.After(600 * time.Millisecond) // longer than the timeout of any other answer
	s.disableSecret(t, "sso/acme-customers")
	customers(down)
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	if err := receive(t, stopped, "the service waits for the end of a watch"); err != nil {
		t.Error(err)
	}
}

// BenchmarkSelfTest measures how much each configuration adds to the time of a start.
func BenchmarkSelfTest(b *testing.B) {
	conf, _ := parse(b, configuration).Configuration("acme-staff")
	key, err := secrets.NewKey(1, []byte(staffSecret))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := inspect.SelfTest(b.Context(), conf.Profile, key, now); err != nil {
			b.Fatal(err)
		}
	}
}
