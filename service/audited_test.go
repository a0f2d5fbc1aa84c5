package service_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/audit"
)

// stuck is an output that takes nothing while it is held, as a pipe that nobody reads.
type stuck struct {
	mu   sync.Mutex
	held chan struct{} // nil: it takes what comes
}

func (s *stuck) hold() (release func()) {
	held := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = held
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held = nil
		close(held)
	}
}

func (s *stuck) Write(b []byte) (int, error) {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if held != nil {
		<-held
	}
	return len(b), nil
}

// An output that hangs stops everything that would have to be on record, for a bounded time each;
// what was given up stays off the record; and all goes on when it does.
func TestHangingAudit(t *testing.T) {
	w := &stuck{}
	s := start(t, settings{configuration: configuration, audit: w})
	release := w.hold()
	// The one whose record's write hangs, then those behind it.
	var first, rest sync.WaitGroup
	check := func(d transport, c call) {
		r := d.send(t.Context(), t, s, c)
		refused(t, d, r, codes.Unavailable, "AUDIT_UNAVAILABLE", http.StatusServiceUnavailable, time.Second)
		if len(aToken.Find(r.body)) > 0 || r.header.Get("Deskmint-Jti") != "" {
			t.Errorf("%s: an error came with a token", c.method)
		}
	}
	transports := []transport{{"grpc", sendGRPC}, {"http", sendHTTP}}
	first.Go(func() { check(transports[0], call{method: "MintToken", body: user("")}) })
	first.Wait()
	for _, d := range transports {
		for _, c := range []call{
			{method: "MintToken", body: user("")}, {method: "RenderForm", body: user("")}, {method: "RenderPage", body: user("")},
			{method: "RenderPage", body: user(`,"phone":"1"`) + `,"onError":"ON_ERROR_STATUS"`}, {method: "ListConfigurations"},
		} {
			rest.Go(func() { check(d, c) })
		}
	}
	rest.Wait()
	release()
	minted := transports[0].send(t.Context(), t, s, call{method: "MintToken", body: user("")})
	all := records(t, s)
	if len(all) != 2 || minted.code != codes.OK ||
		all[1].TokenHash != audit.Hash(get[*pb.MintTokenResponse](t, minted).GetToken()) {
		t.Errorf("on record are %+v, want the one whose write had begun, and the last", all)
	}
	mint(t, s, transports[1], call{body: user("")})
}

// Strangers don't fill the disk: beyond a rate they are a number. Each is refused as ever, and
// those that are known have a record each.
func TestFloodOfStrangers(t *testing.T) {
	eachTransport(t, func(t *testing.T, d transport) {
		const flood, burst = 160, 100
		s := start(t, settings{configuration: configuration})
		began := time.Now()
		for i := range flood {
			keys := []string{}
			if i >= burst && i%2 == 0 {
				keys = []string{"dmk_other"}
			}
			if r := d.send(t.Context(), t, s, call{method: "MintToken", keys: keys, body: user("")}); r.reason != "CALLER_UNAUTHENTICATED" {
				t.Fatalf("%v %s", r.code, r.reason)
			}
			if i%10 == 0 {
				d.send(t.Context(), t, s, call{method: "MintToken", keys: []string{"dmk_nobody"}, body: user("")})
			}
		}
		if err := s.Trail.Close(); err != nil {
			t.Fatal(err)
		}
		known, single, counted := 0, 0, map[string]int{}
		for _, r := range records(t, s) {
			switch {
			case r.Caller != "":
				known++
			case r.Count == 0:
				single++
			default:
				counted[r.Credential] += r.Count
				if r.Transport != d.name || r.Reason != "CALLER_UNAUTHENTICATED" || r.RequestID != "" ||
					r.FirstTime == nil {
					t.Errorf("a number is %+v", r)
				}
			}
		}
		sum := single + counted["missing"] + counted["unknown"]
		most := burst + 1 + int(10*time.Since(began).Seconds())
		if known != flood/10 || sum != flood || single < burst || single > most {
			t.Errorf(
				"%d records of somebody known, %d of strangers, and %v counted; want %d, at most %d, %d together",
				known, single, counted, flood/10, most, flood)
		}
	})
}
