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

// blockingWriter is a writer whose Write blocks while it is blocked, as a full pipe does.
type blockingWriter struct {
	mu      sync.Mutex
	blocked chan struct{} // nil if Write doesn't block
	waiting bool          // a Write is blocked
}

func (s *blockingWriter) writing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

func (s *blockingWriter) block() (release func()) {
	held := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = held
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.blocked = nil
		close(held)
	}
}

func (s *blockingWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	held := s.blocked
	s.waiting = held != nil
	s.mu.Unlock()
	if held != nil {
		<-held
	}
	return len(b), nil
}

// TestHangingAudit checks that requests fail after a limited time while the audit log can't be
// written. A request that has failed gets no record later. Requests succeed when the audit log can
// be written again.
func TestHangingAudit(t *testing.T) {
	w := &blockingWriter{}
	s := start(t, settings{configuration: configuration, audit: w})
	release := w.block()
	// The write of the first record hangs. Those of the rest wait for it.
	var first, rest sync.WaitGroup
	check := func(tr transport, c call) {
		r := tr.send(t.Context(), t, s, c)
		checkRefused(t, tr, r, codes.Unavailable, "AUDIT_UNAVAILABLE", http.StatusServiceUnavailable, time.Second)
		if len(tokenPattern.Find(r.body)) > 0 || r.header.Get("Deskmint-Jti") != "" {
			t.Errorf("%s: the error has a token", c.method)
		}
	}
	transports := []transport{{"grpc", sendGRPC}, {"http", sendHTTP}}
	first.Go(func() { check(transports[0], call{method: "MintToken", body: user("")}) })
	first.Wait()
	for _, tr := range transports {
		for _, c := range []call{
			{method: "MintToken", body: user("")},
			{method: "RenderForm", body: user("")},
			{method: "RenderPage", body: user("")},
			{method: "RenderPage", body: user(`,"organizations":[""]`) + `,"onError":"ON_ERROR_STATUS"`},
			{method: "ListConfigurations"},
		} {
			rest.Go(func() { check(tr, c) })
		}
	}
	rest.Wait()
	release()
	var minted reply
	waitUntil(t, func() string { // the write that hung has to end
		minted = transports[0].send(t.Context(), t, s, call{method: "MintToken", body: user("")})
		if minted.code == codes.OK {
			return ""
		}
		return "no request succeeds: " + minted.reason
	})
	all := records(t, s)
	if len(all) != 2 || minted.code != codes.OK ||
		all[1].TokenHash != audit.Hash(get[*pb.MintTokenResponse](t, minted).GetToken()) {
		t.Errorf("the records are %+v, want that of the first request and that of the last", all)
	}
	mint(t, s, transports[1], call{body: user("")})
}

// TestFloodOfUnknownCallers checks that unauthenticated requests can't fill the disk. Beyond a
// rate, one record counts several of them. Each request is still refused, and each request of a
// known caller still has a record.
func TestFloodOfUnknownCallers(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		const flood, burst = 160, 100
		s := start(t, settings{configuration: configuration})
		began := time.Now()
		for i := range flood {
			keys := []string{}
			if i >= burst && i%2 == 0 {
				keys = []string{"dmk_other"}
			}
			r := tr.send(t.Context(), t, s, call{method: "MintToken", keys: keys, body: user("")})
			if r.reason != "CALLER_UNAUTHENTICATED" {
				t.Fatalf("%v %s", r.code, r.reason)
			}
			if i%10 == 0 {
				tr.send(t.Context(), t, s, call{method: "MintToken", keys: []string{"dmk_nobody"}, body: user("")})
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
				if r.Transport != tr.name || r.Reason != "CALLER_UNAUTHENTICATED" || r.RequestID != "" ||
					r.FirstTime == nil {
					t.Errorf("a record with a count is %+v", r)
				}
			}
		}
		sum := single + counted["missing"] + counted["unknown"]
		most := burst + 1 + int(10*time.Since(began).Seconds())
		if known != flood/10 || sum != flood || single < burst || single > most {
			t.Errorf(
				"%d records of known callers, %d of unknown ones, and %v counted; want %d, at most %d, %d in all",
				known, single, counted, flood/10, most, flood)
		}
	})
}
