//go:build long

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
	"github.com/deskmint/deskmint/service/caller"
)

const (
	fleetRefresh  = 2 * time.Second
	fleetMaxStale = 15 * time.Second
)

// fleet is three replicas and one raft Vault of three servers.
type fleet struct {
	vault    *vaulttest.Cluster
	replicas []*deskmint
	key      string // of the caller
	binary   string
	config   string
	token    string            // of the operator
	values   map[uint32]string // of the secret, by version
	load     *load
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := newFleetWithoutReplicas(t, fleetMaxStale, "")
	for range 3 {
		f.replicas = append(f.replicas, serve(t, f.config))
	}
	return f
}

// newFleetWithoutReplicas returns a fleet that has no replicas yet. settings are added to those
// that every fleet has.
func newFleetWithoutReplicas(t *testing.T, maxStale time.Duration, settings string) *fleet {
	t.Helper()
	f := &fleet{vault: vaulttest.StartCluster(t, 3), binary: build(t), values: map[uint32]string{}}
	leader := f.vault.Leader(t)
	for name, file := range map[string]string{"deskmint": "service", "deskmint-operator": "operator"} {
		leader.Policy(t, name, readFile(t, "../../deploy/vault/"+file+".hcl"))
	}
	roleID, secretID := leader.AppRole(t, "deskmint", "", "deskmint")
	f.token = leader.Token(t, "1h", "deskmint-operator")
	key, hash := caller.NewKey()
	f.key = key
	dir := folder(t, map[string]string{"role-id": roleID, "secret-id": secretID, "deskmint.yaml": fmt.Sprintf(
		"secrets: {source: vault, refresh: %v, max_stale: %v, vault: {addresses: [%s], auth: {method: approle, "+
			"role_id_file: role-id, secret_id_file: secret-id}}}\n%s%s",
		fleetRefresh, maxStale, strings.Join(f.vault.Addrs(), ", "), settings, acme(hash))})
	f.config = filepath.Join(dir, "deskmint.yaml")
	f.secret(t, "stage", f.newValue(1))
	return f
}

// newValue returns the value of a new version of the secret.
func (f *fleet) newValue(version uint32) string {
	f.values[version] = fmt.Sprintf("MARKER-%04d-0123456789-0123456789-0123456789", version)
	return f.values[version]
}

// secret runs `deskmint secret` as an operator does, and returns its output.
func (f *fleet) secret(t *testing.T, act, stdin string, args ...string) string {
	t.Helper()
	out, err := f.trySecret(t, act, stdin, args...)
	if err != nil {
		t.Fatalf("secret %s: %v", act, err)
	}
	return out
}

// trySecret is secret for a store that may be unavailable.
func (f *fleet) trySecret(t *testing.T, act, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*longTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, f.binary,
		append([]string{"secret", act, "acme-customers", "--config", f.config}, args...)...)
	command.Env = []string{"VAULT_TOKEN=" + f.token, "HOME=" + t.TempDir(), "no_proxy=*"}
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errs
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%w\n%s%s", err, &out, &errs)
	}
	return out.String(), nil
}

// waitFlags returns the flags that make a command wait for every replica.
func (f *fleet) waitFlags() (flags []string) {
	for _, d := range f.replicas {
		flags = append(flags, "--replicas", d.ops)
	}
	return flags
}

// load is continuous sign-ins, about 200 a second, through every replica and both transports.
type load struct {
	fleet *fleet
	stop  func()

	mu     sync.Mutex
	minted [][]mintResult // by lane; each replica and transport is a lane
}

// mintResult is the result of one request for a token.
type mintResult struct {
	began   time.Time
	ended   time.Time
	version uint32 // zero if it was refused
	reason  string
	retry   bool // the refusal has a RetryInfo
}

const lanes = 2 // the transports of a replica

// startLoad starts the load, which runs until finish.
func (f *fleet) startLoad(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{fleet: f, minted: make([][]mintResult, lanes*len(f.replicas))}
	var running sync.WaitGroup
	for i, d := range f.replicas {
		client := pb.NewTokenServiceClient(d.dial(t))
		running.Go(func() { l.lane(ctx, t, lanes*i, func() answer { return overGRPC(ctx, t, client, f.key) }) })
		running.Go(func() {
			l.lane(ctx, t, lanes*i+1, func() answer {
				return d.post(t, f.key, "/v1/configurations/acme-customers:mintToken", anaJSON)
			})
		})
	}
	l.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(l.stop)
	f.load = l
}

func overGRPC(ctx context.Context, t *testing.T, client pb.TokenServiceClient, key string) answer {
	r, err := client.MintToken(withKey(context.WithoutCancel(ctx), key), anaRequest("acme-customers"))
	a := answer{token: r.GetToken(), signed: r.GetSecretVersion(), reason: reasonOf(err)}
	for _, detail := range status.Convert(err).Details() {
		if _, ok := detail.(*errdetails.RetryInfo); ok {
			a.body = "google.rpc.RetryInfo"
		}
	}
	if err != nil && a.reason == "" {
		t.Errorf("an error without a reason of Deskmint: %v", err)
	}
	return a
}

// lane signs in again and again, and verifies each token with the version that its response names.
func (l *load) lane(ctx context.Context, t *testing.T, lane int, mint func() answer) {
	ticker := time.NewTicker(time.Duration(len(l.minted)) * time.Second / 200)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		m := mintResult{began: time.Now()}
		a := mint()
		m.ended = time.Now()
		m.version, m.reason, m.retry = a.signed, a.reason, strings.Contains(a.body, "google.rpc.RetryInfo")
		l.mu.Lock()
		secret := l.fleet.values[m.version]
		l.minted[lane] = append(l.minted[lane], m)
		l.mu.Unlock()
		if a.reason != "" {
			continue
		}
		if input, signature, _ := cutLast(a.token); secret == "" || hs256(secret, input) != signature {
			t.Errorf("lane %d: the token isn't signed with version %d, which its response names", lane, m.version)
		}
	}
}

func cutLast(token string) (before, after string, found bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return token, "", false
	}
	return token[:i], token[i+1:], true
}

// stage stages a version as an operator does. It first gives the load the value, so that the load
// can verify tokens.
func (f *fleet) stage(t *testing.T, version uint32, flags ...string) {
	t.Helper()
	f.load.mu.Lock()
	value := f.newValue(version)
	f.load.mu.Unlock()
	f.secret(t, "stage", value, flags...)
}

// results returns the results so far, by lane.
func (l *load) results() [][]mintResult {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([][]mintResult, len(l.minted))
	for i, lane := range l.minted {
		all[i] = slices.Clone(lane)
	}
	return all
}

// awaitAll waits until every lane has a matching result of a sign-in that began after since. It
// doesn't check how long that takes, because the tests of the keyring's schedule do, with a fake
// clock. The log says how long it took.
func (l *load) awaitAll(t *testing.T, since time.Time, what string, sees func(mintResult) bool) {
	t.Helper()
	last := since
	eventually(t, func() error {
		for i, lane := range l.results() {
			n := slices.IndexFunc(lane, func(m mintResult) bool { return m.began.After(since) && sees(m) })
			if n < 0 {
				return fmt.Errorf("lane %d has no result with %s", i, what)
			}
			if lane[n].began.After(last) {
				last = lane[n].began
			}
		}
		return nil
	})
	t.Logf("the last replica showed %s after %v", what, last.Sub(since).Round(time.Millisecond))
}

func signedBy(version uint32) func(mintResult) bool {
	return func(m mintResult) bool { return m.version == version }
}

// finish ends the load. Every lane must have signed with these versions, in this order, and with no
// other.
func (f *fleet) finish(t *testing.T, versions ...uint32) {
	t.Helper()
	f.load.stop()
	total, refused := 0, 0
	for i, lane := range f.load.results() {
		var runs []uint32
		for _, m := range lane {
			if m.reason != "" {
				refused++
				t.Errorf("lane %d: refused: %s", i, m.reason)
			} else if len(runs) == 0 || runs[len(runs)-1] != m.version {
				runs = append(runs, m.version)
			}
		}
		total += len(lane)
		if !slices.Equal(runs, versions) {
			t.Errorf("lane %d signed with versions %v in this order, want %v", i, runs, versions)
		}
	}
	t.Logf("%d sign-ins, %d refused", total, refused)
}

// checkReady checks that every replica is ready.
func (f *fleet) checkReady(t *testing.T, when string) {
	t.Helper()
	for i, d := range f.replicas {
		if response, err := http.Get("http://" + d.ops + "/readyz"); err != nil ||
			readAnswer(t, response).status != http.StatusOK {
			t.Errorf("%s: replica %d isn't ready: %v", when, i, err)
		}
	}
}
