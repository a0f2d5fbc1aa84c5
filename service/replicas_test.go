package service_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
	"github.com/deskmint/deskmint/service"
)

// nameServer resolves one name. Clients resolve the name again when a connection has ended, as they
// do with DNS.
type nameServer struct {
	resolver *manual.Resolver

	mu        sync.Mutex
	addresses []string
}

func (n *nameServer) set(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = addresses
}

func (n *nameServer) state() (s resolver.State) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range n.addresses {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	return s
}

// signIns is a client with the recommended service config that signs users in continuously.
type signIns struct {
	mu      sync.Mutex
	by      map[string]int // the numbers of answers by replica
	failed  []error
	changed chan struct{} // closed at each answer
}

func (l *signIns) answered(replica string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed = append(l.failed, err)
	} else {
		l.by[replica]++
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// awaitAnswers waits until each of the replicas has answered n more times. It returns the numbers
// of their answers.
func (l *signIns) awaitAnswers(t *testing.T, n int, replicas ...string) []int {
	t.Helper()
	deadline := time.After(waitTimeout)
	var before []int
	for {
		l.mu.Lock()
		turn := l.changed
		var now []int
		for i, r := range replicas {
			now = append(now, l.by[r])
			if before != nil {
				now[i] -= before[i]
			}
		}
		l.mu.Unlock()
		if before == nil {
			before = now
		} else if slices.Min(now) >= n {
			return now
		}
		select {
		case <-turn:
		case <-deadline:
			t.Fatalf("the replicas have answered %v times, want %d each", now, n)
		}
	}
}

// start signs in about 160 times a second until the test ends.
func (l *signIns) start(t *testing.T, n *nameServer) {
	t.Helper()
	recommended, err := os.ReadFile("../examples/client/service_config.json")
	if err != nil {
		t.Fatal(err)
	}
	n.resolver = manual.NewBuilderWithScheme("replicas")
	n.resolver.InitialState(n.state())
	n.resolver.ResolveNowCallback = func(resolver.ResolveNowOptions) { go n.resolver.UpdateState(n.state()) }
	conn, err := grpc.NewClient("replicas:///deskmint", grpc.WithResolvers(n.resolver),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(string(recommended)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				var from peer.Peer
				_, err := pb.NewTokenServiceClient(conn).MintToken(
					metadata.AppendToOutgoingContext(context.WithoutCancel(ctx), "authorization",
						"Bearer dmk_everything"),
					&pb.MintTokenRequest{
						Configuration: "configurations/acme-customers",
						User:          &pb.User{Email: "ana@customer.example", EmailVerified: true, Name: "Ana"},
					},
					grpc.Peer(&from),
				)
				l.answered(fmt.Sprint(from.Addr), err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = conn.Close()
	})
}

// TestReplicaChanges checks a client with the service config that docs/clients.md recommends. None
// of its calls fails when a replica stops or when its connections to a replica are cut. A new
// replica gets its share of the calls, because connections end at their age.
func TestReplicaChanges(t *testing.T) {
	var hook hookedSecrets // of b
	replica := func(between func(service.Secrets) service.Secrets) *server {
		return start(t, settings{
			configuration: configuration,
			secrets:       between,
			connectionAge: time.Second,
			drain:         200 * time.Millisecond,
		})
	}
	address := func(s *server) string { return s.listeners[0].Addr().String() }
	a, b, c := replica(nil), replica(hook.wrap), replica(nil)
	cut := toxic.New(t, address(b))
	l, n := &signIns{by: map[string]int{}, changed: make(chan struct{})}, &nameServer{}
	n.set(address(a), cut.Address, address(c))
	l.start(t, n)
	checkEven(t, l.awaitAnswers(t, 30, address(a), cut.Address, address(c)))

	n.set(address(a), cut.Address)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	checkEven(t, l.awaitAnswers(t, 30, address(a), cut.Address))

	entered, release := hook.blockGets(t)
	for range 4 {
		<-entered // replica b has calls in flight
	}
	cut.Refuse() // the name still resolves to replica b
	release()
	l.awaitAnswers(t, 30, address(a))
	cut.Open(t)
	l.awaitAnswers(t, 30, address(a), cut.Address)

	d := replica(nil)
	n.set(address(a), cut.Address, address(d))
	began := time.Now()
	l.awaitAnswers(t, 1, address(d))
	t.Logf("the new replica had its first call after %v", time.Since(began).Round(time.Millisecond))
	checkEven(t, l.awaitAnswers(t, 30, address(a), cut.Address, address(d)))

	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.failed {
		t.Errorf("a sign-in failed: %v", err)
	}
}

// checkEven checks that no replica was called more than twice as often as another.
func checkEven(t *testing.T, calls []int) {
	t.Helper()
	if slices.Max(calls) > 2*slices.Min(calls) {
		t.Errorf("the replicas were called %v times, want similar numbers", calls)
	}
}
