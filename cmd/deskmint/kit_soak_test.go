//go:build long

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // healthCheckConfig does nothing without it
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/stats"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// maxConcurrent is how many calls may be in flight. The benchmarks have the same number.
const maxConcurrent = 64

// newConn returns one connection for all addresses, with the service config and the keepalive that
// docs/clients.md recommends.
func newConn(t *testing.T, attempts stats.Handler, addresses ...string) *grpc.ClientConn {
	t.Helper()
	var names resolver.State
	for _, a := range addresses {
		names.Endpoints = append(names.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	replicas := manual.NewBuilderWithScheme("replicas")
	replicas.InitialState(names)
	conn, err := grpc.NewClient("replicas:///deskmint", grpc.WithResolvers(replicas), grpc.WithStatsHandler(attempts),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(readFile(t, "../../examples/client/service_config.json")),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                20 * time.Second,
			Timeout:             5 * time.Second,
			PermitWithoutStream: true,
		}))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// attempts counts how often a mint was sent, including retries.
type attempts struct{ made atomic.Int64 }

type mintKey struct{}

func (a *attempts) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if info.FullMethodName != pb.TokenService_MintToken_FullMethodName {
		return ctx // a request for a replica's health
	}
	return context.WithValue(ctx, mintKey{}, true)
}

func (a *attempts) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, begins := s.(*stats.Begin); begins && ctx.Value(mintKey{}) != nil {
		a.made.Add(1)
	}
}

func (*attempts) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*attempts) HandleConn(context.Context, stats.ConnStats)                       {}

// backend is a program that calls Deskmint, with many people who sign in continuously.
type backend struct {
	key    string
	tokens pb.TokenServiceClient
	sent   attempts
	people atomic.Int64

	mu       sync.Mutex
	values   map[uint32]string // of the secret, by version
	minted   map[uint32]int    // by version
	by       map[string]int    // by replica
	took     []time.Duration
	failed   []error
	failures int
	wrong    []uint32 // versions that responses named, but that didn't sign the token
}

func newBackend(t *testing.T, key string, addresses ...string) *backend {
	t.Helper()
	b := &backend{key: key, values: map[uint32]string{}, minted: map[uint32]int{}, by: map[string]int{}}
	b.tokens = pb.NewTokenServiceClient(newConn(t, &b.sent, addresses...))
	return b
}

// mint signs in one of ten thousand people. The person has waited since due.
func (b *backend) mint(ctx context.Context, due time.Time) {
	request := anaRequest("acme-customers")
	request.User.Email = fmt.Sprintf("ana-%d@customer.example", b.people.Add(1)%10_000)
	var from peer.Peer
	r, err := b.tokens.MintToken(withKey(ctx, b.key), request, grpc.Peer(&from))
	took := time.Since(due)

	b.mu.Lock()
	secret := b.values[r.GetSecretVersion()]
	b.mu.Unlock()
	input, signature, _ := cutLast(r.GetToken())
	valid := err != nil || secret != "" && hs256(secret, input) == signature

	b.mu.Lock()
	defer b.mu.Unlock()
	b.took = append(b.took, took)
	if err != nil {
		b.failures++
		b.failed = append(b.failed,
			fmt.Errorf("at %v, after %v, of %v: %w", time.Now().Format(time.TimeOnly), took, from.Addr, err))
		b.failed = b.failed[:min(len(b.failed), 20)]
		return
	}
	b.minted[r.GetSecretVersion()]++
	b.by[from.Addr.String()]++
	if !valid {
		b.wrong = append(b.wrong, r.GetSecretVersion())
	}
}

// load signs people in until the returned function is called. rate people start to wait in each
// second, even if others are still waiting. If rate is zero, each person starts when the previous
// one has finished.
func (b *backend) load(t *testing.T, rate int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	began := time.Now()
	for worker := range maxConcurrent {
		running.Go(func() {
			for n := worker; ctx.Err() == nil; n += maxConcurrent {
				due := time.Now()
				if rate > 0 {
					due = began.Add(time.Duration(n) * time.Second / time.Duration(rate))
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(due)):
					b.mint(context.WithoutCancel(ctx), due)
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// measureRate returns how many mints a second are possible. It drops the results.
func (b *backend) measureRate(t *testing.T, during time.Duration) int {
	t.Helper()
	stop := b.load(t, 0)
	<-time.After(during)
	stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures > 0 {
		t.Fatalf("%d of %d mints failed before the first disturbance: %v", b.failures, len(b.took), b.failed[0])
	}
	n := len(b.took)
	b.took = nil
	return int(float64(n) / during.Seconds())
}

// addValue adds the value of a version. The caller adds it before a replica signs with it.
func (b *backend) addValue(version uint32, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.values[version] = value
}

// mintCount returns the number of tokens that were signed with a version.
func (b *backend) mintCount(version uint32) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.minted[version]
}

// summary checks and describes all results. Call it when the load has stopped.
func (b *backend) summary(t *testing.T) (mints int, parsed string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, err := range b.failed {
		t.Errorf("a mint failed: %v", err)
	}
	if b.failures > len(b.failed) {
		t.Errorf("and %d more", b.failures-len(b.failed))
	}
	if len(b.wrong) > 0 {
		t.Errorf("%d tokens aren't signed with the version that their response names: %v …", len(b.wrong),
			b.wrong[:min(len(b.wrong), 10)])
	}
	for _, n := range b.minted {
		mints += n
	}
	slices.Sort(b.took)
	at := func(share float64) time.Duration {
		return b.took[int(share*float64(len(b.took)-1))].Round(10 * time.Microsecond)
	}
	return mints, fmt.Sprintf("%d mints, %d failed, each verified under one of %d versions; %d sent again; by "+
		"replica %v; p50 %v, p99 %v, p99.9 %v, longest %v",
		mints, b.failures, len(b.minted), int(b.sent.made.Load())-mints-b.failures, slices.Sorted(maps.Values(b.by)),
		at(0.5), at(0.99), at(0.999), at(1))
}
