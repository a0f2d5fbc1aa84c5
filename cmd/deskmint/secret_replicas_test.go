package main

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/rotation"
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

// TestStatusOfReplicas checks that the command asks replicas what they hold. It fails if one of them
// doesn't hold what the store does, and prints the status of the others all the same.
func TestStatusOfReplicas(t *testing.T) {
	t.Parallel()
	config, _, _ := files(t)
	d := serve(t, config)
	status := func(replicas ...string) (string, error) {
		args := []string{"status", "acme-customers", "--config", config}
		for _, address := range replicas {
			args = append(args, "--replicas", address)
		}
		stdout, _, err := runSecret(t, "", args...)
		return stdout, err
	}
	row := func(address, rest string) *regexp.Regexp {
		return regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(address) + ` +` + rest + `$`)
	}
	const lastRead = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
	if out, err := status(d.ops); err != nil || !row(d.ops, `usable +1 +- +`+lastRead+` +-`).MatchString(out) {
		t.Errorf("%v\n%s", err, out)
	}
	behind, closed := newReplica(t, "2", func() {}), closedAddress(t)
	out, err := status(d.ops, behind, closed)
	for _, want := range []*regexp.Regexp{
		row(d.ops, `usable +1 +- +`+lastRead+` +-`),
		row(behind, `usable +2 +- +- +the store has version 1 active`),
		row(closed, `- +- +- +- +no answer: .*refused.*`),
	} {
		if !want.MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if err == nil || codeOf(err) != codeFailed ||
		err.Error() != "replicas that don't hold what the store does: 2 of 3" {
		t.Errorf("%v", err)
	}
	stdout, _, err := runSecret(t, "", "status", "acme-customers", "--config", config, "--json", "--replicas", behind)
	var parsed rotation.Status
	if json.Unmarshal([]byte(stdout), &parsed) != nil || len(parsed.Replicas) != 1 || parsed.Replicas[0].Active != 2 ||
		err == nil {
		t.Errorf("%v\n%s", err, stdout)
	}
	if _, err := status("ops"); err == nil || !strings.Contains(err.Error(), "--replicas ops: must be HOST:PORT") {
		t.Errorf("an address without a port: %v", err)
	}
}

// closedAddress returns an address at which nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	return listener.Addr().String()
}
