package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
)

// opsOf is a listener that answers like an ops listener: with the answers in turn, the
// last one for good.
func opsOf(t *testing.T, answers ...string) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1)) - 1
		answer := answers[min(n, len(answers)-1)]
		if r.URL.Path != "/readyz" {
			answer = "not asked for"
		}
		if strings.Contains(answer, `"ready":false`) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), asked
}

// ready is what a replica says of acme.
func ready(standing string) string {
	return `{"ready":true,"configuration_digest":"d","configurations":{"acme":` + standing + `,"other":{"state":"usable","active_version":9}}}`
}

const (
	onOne = `{"state":"usable","active_version":1}`
	onTwo = `{"state":"usable","active_version":2}`
)

// waiting asks without a pause between the rounds.
func waiting(t *testing.T, addresses ...string) replicas {
	t.Helper()
	r, err := actFlags{Replicas: addresses}.replicas()
	if err != nil {
		t.Fatal(err)
	}
	r.pause = time.Millisecond
	return r
}

var (
	toTwo  = rotate.Step{Kind: rotate.StepPoint, Version: 2}
	pinTwo = rotate.Step{Kind: rotate.StepPin, Version: 2, Serial: 7}
	write2 = rotate.Step{Kind: rotate.StepWrite, Version: 2}
	off    = rotate.Step{Kind: rotate.StepDisable}
	on     = rotate.Step{Kind: rotate.StepEnable}
)

// TestReplicasFollow: the wait ends when the last replica does, and not before.
func TestReplicasFollow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		step    rotate.Step
		answers []string
	}{
		"a move":              {toTwo, []string{ready(onOne), ready(onOne), ready(onTwo)}},
		"a pin":               {pinTwo, []string{ready(`{"state":"usable","active_version":2,"serial":6,"fault":"vanished"}`), ready(`{"state":"usable","active_version":2,"serial":7}`)}},
		"a fault that passes": {toTwo, []string{ready(`{"state":"stale","active_version":2,"fault":"vault: sealed"}`), ready(onTwo)}},
		"a replica begins":    {toTwo, []string{`{"ready":false,"configurations":{"acme":` + onTwo + `}}`, ready(onTwo)}},
		"a reload":            {toTwo, []string{`{"ready":true,"configurations":{}}`, ready(onTwo)}},
		"while switched off":  {toTwo, []string{ready(onOne), ready(`{"state":"disabled","active_version":2}`)}},
		"a stage":             {write2, []string{ready(onOne), ready(`{"state":"usable","active_version":1,"staged_version":2}`)}},
		"a switch":            {off, []string{ready(onOne), ready(`{"state":"disabled","active_version":1}`)}},
		"and back":            {on, []string{ready(`{"state":"disabled","active_version":1}`), ready(onOne)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quick, _ := opsOf(t, tc.answers[len(tc.answers)-1])
			slow, asked := opsOf(t, tc.answers...)
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			count, err := waiting(t, quick, slow, quick).await(ctx, "acme", tc.step)
			if err != nil || count != 2 || int(asked.Load()) != len(tc.answers) {
				t.Errorf("%d replicas after %d answers, %v", count, asked.Load(), err)
			}
		})
	}
}

// TestReplicasThatDont: which one, and why.
func TestReplicasThatDont(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		step         rotate.Step
		answer, says string
	}{
		"another version": {toTwo, ready(onOne), "it is usable, with version 1 active"},
		"a fault":         {toTwo, ready(`{"state":"stale","active_version":2,"fault":"vault:\u001b[2J no\nanswer"}`), "it is stale, with version 2 active: vault: [2J no answer"},
		"nothing to sign": {toTwo, ready(`{"state":"unusable","active_version":2}`), "it is unusable"},
		"not staged":      {write2, ready(`{"state":"usable","active_version":1,"staged_version":3}`), "it is usable, with version 1 active and version 3 staged"},
		"not off":         {off, ready(onOne), "it is usable"},
		"not on":          {on, ready(`{"state":"disabled","active_version":1}`), "it is disabled"},
		"not ready":       {toTwo, `{"ready":false,"configurations":{"acme":` + onTwo + `}}`, "it isn't ready"},
		"another service": {toTwo, "404 page not found", "it doesn't answer as a Deskmint does"},
		"another JSON":    {toTwo, `{"status":"ok"}`, "it doesn't answer as a Deskmint does"},
		"another file":    {toTwo, `{"ready":true,"configurations":{"other":` + onTwo + `}}`, "it has no configuration acme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, _ := opsOf(t, map[bool]string{true: ready(onTwo), false: tc.answer}[tc.step == toTwo])
			bad, asked := opsOf(t, tc.answer)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { // some rounds, however slow the machine
				for asked.Load() < 3 {
					select {
					case <-ctx.Done():
						return
					case <-time.After(time.Millisecond):
					}
				}
				cancel()
			}()
			_, err := waiting(t, good, bad).await(ctx, "acme", tc.step)
			if err == nil || !strings.Contains(err.Error(), bad+": "+tc.says) || tc.step == toTwo && strings.Contains(err.Error(), good) {
				t.Errorf("%v, want %q of %s alone", err, tc.says, bad)
			}
		})
	}
	nobody := freeAddress(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := waiting(t, nobody).await(ctx, "acme", toTwo); err == nil || !strings.Contains(err.Error(), nobody+": no answer: ") {
		t.Errorf("%v", err)
	}
}

// TestReplicasByName: a name stands for all its addresses, anew in each round.
func TestReplicasByName(t *testing.T) {
	t.Parallel()
	address, _ := opsOf(t, ready(onTwo))
	_, port, _ := strings.Cut(address, ":")
	rounds := 0
	r := waiting(t, "replicas.internal:"+port)
	r.resolve = func(_ context.Context, network, host string) ([]netip.Addr, error) {
		if host != "replicas.internal" {
			return nil, errors.New("another name")
		}
		if network == "ip6" {
			return []netip.Addr{netip.MustParseAddr("2001:db8::1")}, nil
		}
		if rounds++; rounds == 1 { // one that is about to go away
			return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if count, err := r.await(ctx, "acme", toTwo); err != nil || count != 1 || rounds != 2 {
		t.Errorf("%d replicas in %d rounds, %v", count, rounds, err)
	}
	r.resolve = func(_ context.Context, network, _ string) ([]netip.Addr, error) {
		if network == "ip4" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
	}
	if count, err := r.await(ctx, "acme", toTwo); err != nil || count != 1 {
		t.Errorf("by IPv6 alone: %d replicas, %v", count, err)
	}
	r.resolve = func(context.Context, string, string) ([]netip.Addr, error) { return nil, fmt.Errorf("no such host") }
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.await(ctx, "acme", toTwo); err == nil || !strings.Contains(err.Error(), "replicas.internal:"+port+": the name can't be resolved") {
		t.Errorf("a name without addresses counts as all of them: %v", err)
	}
}

// When the replicas don't follow, what was done is said all the same, and the command fails.
func TestTheWaitEnds(t *testing.T) {
	t.Parallel()
	config, _, _ := files(t)
	behind, asked := opsOf(t, strings.ReplaceAll(ready(onOne), `"acme"`, `"acme-customers"`))
	// The wait is long enough for one answer on a slow machine: the command says what it was told
	// last.
	stdout, _, err := operate(t, nextSecret, "replace", "acme-customers", "--config", config, "--replicas", behind, "--wait", "3s")
	if asked.Load() == 0 {
		t.Error("the replica was not asked")
	}
	if err == nil || !strings.Contains(err.Error(), "the store was changed as said, but: not every replica follows yet:\n  "+behind+": it is usable, with version 1 active") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(stdout, "done: make version 2 active") {
		t.Errorf("standard output:\n%s", stdout)
	}
	// Somebody else moves the pointer while the replicas are waited for.
	config, _, _ = files(t)
	var rollback sync.Once // a slow one outlasts a question, and the next one waits for it
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rollback.Do(func() {
			if _, _, err := operate(t, "", "rollback", "acme-customers", "--config", config); err != nil {
				t.Error(err)
			}
		})
		_, _ = w.Write([]byte(strings.ReplaceAll(ready(onTwo), `"acme"`, `"acme-customers"`)))
	}))
	t.Cleanup(moved.Close)
	_, _, err = operate(t, nextSecret, "replace", "acme-customers", "--config", config, "--replicas", moved.Listener.Addr().String())
	if !errors.Is(err, secrets.ErrConflict) || !strings.Contains(err.Error(), "was undone since; version 1 is active now") {
		t.Errorf("%v", err)
	}
}
