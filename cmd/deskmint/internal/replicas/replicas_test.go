package replicas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/rotate"
)

// testTimeout limits what takes milliseconds unless it fails.
const testTimeout = 30 * time.Second

// newOps starts an ops listener that returns the responses one after the other, and then the last
// one again and again. It counts the requests.
func newOps(t *testing.T, responses ...string) (address string, requests *atomic.Int64) {
	t.Helper()
	requests = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(requests.Add(1)) - 1
		response := responses[min(n, len(responses)-1)]
		if r.URL.Path != "/readyz" {
			response = "another path"
		}
		if got := r.URL.Query()["configuration"]; !slices.Equal(got, []string{"acme"}) {
			t.Errorf("the request is about %v: a replica may leave the configuration out of an answer about all", got)
		}
		if strings.Contains(response, `"ready":false`) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(response))
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), requests
}

// ready returns the response of a replica that is ready. state is that of the configuration acme.
func ready(state string) string {
	return `{"ready":true,"configuration_digest":"d","configurations":{"acme":` + state +
		`,"other":{"state":"usable","active_version":9}}}`
}

const (
	onOne = `{"state":"usable","active_version":1}`
	onTwo = `{"state":"usable","active_version":2}`
)

// newSet returns a set that pauses for only a millisecond between the rounds.
func newSet(t *testing.T, addresses ...string) *Set {
	t.Helper()
	s, err := New(addresses)
	if err != nil {
		t.Fatal(err)
	}
	s.pause = time.Millisecond
	return s
}

var (
	activateTwo = rotate.Step{Kind: rotate.StepPoint, Version: 2}
	pinTwo      = rotate.Step{Kind: rotate.StepPin, Version: 2, Serial: 7}
	stageTwo    = rotate.Step{Kind: rotate.StepWrite, Version: 2}
	disable     = rotate.Step{Kind: rotate.StepDisable}
	enable      = rotate.Step{Kind: rotate.StepEnable}
)

// TestAwait checks that the wait ends when the last replica follows, and not earlier.
func TestAwait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		step      rotate.Step
		responses []string
	}{
		"activate": {activateTwo, []string{ready(onOne), ready(onOne), ready(onTwo)}},
		"pin": {
			pinTwo, []string{
				ready(`{"state":"usable","active_version":2,"serial":6,"fault":"vanished"}`),
				ready(`{"state":"usable","active_version":2,"serial":7}`),
			},
		},
		"a fault that passes": {
			activateTwo, []string{ready(`{"state":"stale","active_version":2,"fault":"vault: sealed"}`), ready(onTwo)},
		},
		"a replica starts": {
			activateTwo, []string{`{"ready":false,"configurations":{"acme":` + onTwo + `}}`, ready(onTwo)},
		},
		"a reload": {activateTwo, []string{`{"ready":true,"configurations":{}}`, ready(onTwo)}},
		"activate while disabled": {
			activateTwo, []string{ready(onOne), ready(`{"state":"disabled","active_version":2}`)},
		},
		"stage": {
			stageTwo, []string{ready(onOne), ready(`{"state":"usable","active_version":1,"staged_version":2}`)},
		},
		"disable": {disable, []string{ready(onOne), ready(`{"state":"disabled","active_version":1}`)}},
		"enable":  {enable, []string{ready(`{"state":"disabled","active_version":1}`), ready(onOne)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quick, _ := newOps(t, tc.responses[len(tc.responses)-1])
			slow, requests := newOps(t, tc.responses...)
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			count, err := newSet(t, quick, slow, quick).Await(ctx, "acme", tc.step)
			if err != nil || count != 2 || int(requests.Load()) != len(tc.responses) {
				t.Errorf("%d replicas after %d responses, %v", count, requests.Load(), err)
			}
		})
	}
}

// TestAwaitFails checks that the error says which replica doesn't follow, and why.
func TestAwaitFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		step           rotate.Step
		response, want string
	}{
		"another version": {activateTwo, ready(onOne), "it is usable, with version 1 active"},
		"a fault": {
			activateTwo, ready(`{"state":"stale","active_version":2,"fault":"vault:\u001b[2J no\nanswer"}`),
			"it is stale, with version 2 active: vault: [2J no answer",
		},
		"unusable": {activateTwo, ready(`{"state":"unusable","active_version":2}`), "it is unusable"},
		"not staged": {
			stageTwo, ready(`{"state":"usable","active_version":1,"staged_version":3}`),
			"it is usable, with version 1 active and version 3 staged",
		},
		"not disabled":    {disable, ready(onOne), "it is usable"},
		"not enabled":     {enable, ready(`{"state":"disabled","active_version":1}`), "it is disabled"},
		"not ready":       {activateTwo, `{"ready":false,"configurations":{"acme":` + onTwo + `}}`, "it isn't ready"},
		"another service": {activateTwo, "404 page not found", "it doesn't answer as a Deskmint does"},
		"other JSON":      {activateTwo, `{"status":"ok"}`, "it doesn't answer as a Deskmint does"},
		"another file": {
			activateTwo, `{"ready":true,"configurations":{"other":` + onTwo + `}}`, "it has no configuration acme",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, _ := newOps(t, map[bool]string{true: ready(onTwo), false: tc.response}[tc.step == activateTwo])
			bad, requests := newOps(t, tc.response)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { // let some rounds pass, on a slow machine, too
				for requests.Load() < 3 {
					select {
					case <-ctx.Done():
						return
					case <-time.After(time.Millisecond):
					}
				}
				cancel()
			}()
			_, err := newSet(t, good, bad).Await(ctx, "acme", tc.step)
			if err == nil || !strings.Contains(err.Error(), bad+": "+tc.want) ||
				tc.step == activateTwo && strings.Contains(err.Error(), good) {
				t.Errorf("%v, want %q of %s alone", err, tc.want, bad)
			}
		})
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String() // no one listens there
	_ = listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := newSet(t, closed).Await(ctx, "acme", activateTwo); err == nil ||
		!strings.Contains(err.Error(), closed+": no answer: ") {
		t.Errorf("%v", err)
	}
}

// TestAwaitByName checks that a name represents all its addresses, and is resolved in each round.
func TestAwaitByName(t *testing.T) {
	t.Parallel()
	address, _ := newOps(t, ready(onTwo))
	_, port, _ := strings.Cut(address, ":")
	rounds := 0
	s := newSet(t, "replicas.internal:"+port)
	s.resolve = func(_ context.Context, network, host string) ([]netip.Addr, error) {
		if host != "replicas.internal" {
			return nil, errors.New("another name")
		}
		if network == "ip6" {
			return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
		}
		if rounds++; rounds == 1 { // the second replica stops after this round
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	if count, err := s.Await(ctx, "acme", activateTwo); err != nil || count != 1 || rounds != 2 {
		t.Errorf("%d replicas in %d rounds, %v", count, rounds, err)
	}
	s.resolve = func(_ context.Context, network, _ string) ([]netip.Addr, error) {
		if network == "ip4" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	if count, err := s.Await(ctx, "acme", activateTwo); err != nil || count != 1 {
		t.Errorf("by IPv6 alone: %d replicas, %v", count, err)
	}
	s.resolve = func(context.Context, string, string) ([]netip.Addr, error) { return nil, fmt.Errorf("no such host") }
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Await(ctx, "acme", activateTwo); err == nil ||
		!strings.Contains(err.Error(), "replicas.internal:"+port+": the name can't be resolved") {
		t.Errorf("a name without addresses counts as all of them: %v", err)
	}
}
