package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deskmint/deskmint/secrets"
)

// newReplica starts an ops listener that calls before, and then reports that acme-customers signs
// with a version.
func newReplica(t *testing.T, version string, before func()) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		before()
		_, _ = w.Write([]byte(`{"ready":true,"configuration_digest":"d","configurations":{` +
			`"acme-customers":{"state":"usable","active_version":` + version + `},` +
			`"other":{"state":"usable","active_version":9}}}`))
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestReplicasDontFollow checks that the command fails if the replicas don't follow, but still
// prints what it has done.
func TestReplicasDontFollow(t *testing.T) {
	t.Parallel()
	config, _, _ := files(t)
	var requests atomic.Int64
	behind := newReplica(t, "1", func() { requests.Add(1) })
	// The wait is long enough for one response on a slow machine. The command reports the last
	// response.
	stdout, _, err := runSecret(t, nextSecret, "replace", "acme-customers", "--config", config, "--replicas", behind,
		"--wait", "3s")
	if requests.Load() == 0 {
		t.Error("the replica got no request")
	}
	want := "the store was changed as said, but: not every replica follows yet:\n  " + behind +
		": it is usable, with version 1 active"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(stdout, "done: make version 2 active") {
		t.Errorf("standard output:\n%s", stdout)
	}
	if _, _, err := runSecret(t, nextSecret, "replace", "acme-customers", "--config", config,
		"--replicas", "ops"); err == nil ||
		!strings.Contains(err.Error(), "--replicas ops: must be HOST:PORT, of the ops listener") {
		t.Errorf("an address without a port: %v", err)
	}
}

// TestChangeDuringWait checks that the command fails if another operator moves the pointer while it
// waits for the replicas.
func TestChangeDuringWait(t *testing.T) {
	t.Parallel()
	config, _, _ := files(t)
	// A slow rollback may take longer than one request, and then the next request waits for it.
	var rollback sync.Once
	moved := newReplica(t, "2", func() {
		rollback.Do(func() {
			if _, _, err := runSecret(t, "", "rollback", "acme-customers", "--config", config); err != nil {
				t.Error(err)
			}
		})
	})
	_, _, err := runSecret(t, nextSecret, "replace", "acme-customers", "--config", config, "--replicas", moved)
	if !errors.Is(err, secrets.ErrConflict) ||
		!strings.Contains(err.Error(), "was undone since; version 1 is active now") {
		t.Errorf("%v", err)
	}
}
