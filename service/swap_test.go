package service_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
)

// withRenamedBrand returns the configuration of the tests with another brand instead of 360002.
func withRenamedBrand() string {
	return strings.NewReplacer(`"360002"`, `"360003"`, "acme-labs", "acme-new").Replace(configuration)
}

// TestSwapBetweenRequests checks that a request uses the configuration with which it began, and
// that the next request uses the new one.
func TestSwapBetweenRequests(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var hook hookedSecrets
		s := start(t, settings{configuration: configuration, secrets: hook.wrap})
		entered, release := hook.blockGets(t)
		answered := make(chan reply, 1)
		old := call{method: "MintToken", body: user("") + `,"brandId":"360002"`}
		go func() { answered <- tr.send(context.WithoutCancel(t.Context()), t, s, old) }()
		<-entered
		next := parse(t, withRenamedBrand())
		if err := s.Swap(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		release()
		m := get[*pb.MintTokenResponse](t, <-answered)
		if got := m.GetForm().GetAction(); got != "https://acme-labs.zendesk.com/access/jwt" {
			t.Errorf("the answer to the request in flight has the action %v", got)
		}
		if r := tr.send(t.Context(), t, s, old); r.reason != "BRAND_NOT_ALLOWED" {
			t.Errorf("the removed brand: %v %s", r.code, r.reason)
		}
		mint(t, s, tr, call{body: user("") + `,"brandId":"360003"`})
		all := records(t, s)
		if len(all) != 3 || all[0].Digest != parse(t, configuration).Digest || all[1].Digest != next.Digest ||
			all[2].Digest != next.Digest {
			t.Errorf("the digests of the records are wrong: %+v", all)
		}
	})
}

// TestSwapIsAtomic checks that a failed swap changes nothing, and that a successful one forgets the
// secrets of removed configurations.
func TestSwapIsAtomic(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	overGRPC := transport{"grpc", sendGRPC}
	fresh := strings.ReplaceAll(withRenamedBrand(), "path: sso/acme-both", "path: sso/acme-fresh")
	s.Store.Put("sso/acme-fresh", "shared_secret", []byte(nextSecret))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Swap(cancelled, parse(t, fresh)); !errors.Is(err, context.Canceled) {
		t.Errorf("the swap with a cancelled context returned %v", err)
	}
	mint(t, s, overGRPC, call{body: user("") + `,"brandId":"360002"`})
	if err := s.Swap(t.Context(), parse(t, fresh)); err != nil {
		t.Fatal(err)
	}
	mint(t, s, overGRPC, call{name: "acme-both", body: user("")})
	if _, known := s.Ring.State(secrets.Ref{Path: "sso/acme-both", Field: "shared_secret"}); known {
		t.Error("a secret without a configuration is still held")
	}
}

// TestConcurrentSwaps sends requests through both transports during swaps, rotations, probes and
// scrapes.
func TestConcurrentSwaps(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	snapshots := []string{configuration, withRenamedBrand()}
	var all sync.WaitGroup
	for _, tr := range []transport{{"grpc", sendGRPC}, {"http", sendHTTP}} {
		for range 2 {
			all.Go(func() {
				for i := range 15 {
					c := []call{
						{method: "MintToken", body: user("")},
						{method: "RenderPage", body: user("")},
						{method: "ListConfigurations"},
					}[i%3]
					if r := tr.send(t.Context(), t, s, c); r.code != codes.OK {
						t.Errorf("%s %s: %v %s", tr.name, c.method, r.code, r.reason)
					}
				}
			})
		}
	}
	all.Go(func() {
		ref := secrets.Ref{Path: "sso/acme-customers", Field: "shared_secret"}
		for i := range 4 {
			if err := s.Swap(t.Context(), parse(t, snapshots[i%2])); err != nil {
				t.Error(err)
			}
			s.Store.Put(ref.Path, ref.Field, []byte(nextSecret))
			if _, _, err := s.Ring.Refresh(t.Context(), ref); err != nil {
				t.Error(err)
			}
			s.ops(t, "/metrics")
			s.ops(t, "/readyz")
		}
	})
	all.Wait()
	if got := len(records(t, s)); got != 60 {
		t.Errorf("%d records, want 60", got)
	}
}
