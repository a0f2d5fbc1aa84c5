package service_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// withIdentities returns the configuration of the tests with these identities of the caller slow.
func withIdentities(t *testing.T, c *clock, identities string) *config.Snapshot {
	t.Helper()
	text := strings.Replace(configuration, "identities: [{api_key_sha256: "+caller.HashKey("dmk_slow")+"}]",
		"identities: ["+identities+"]", 1)
	snapshot, err := config.Parse("test.yaml", []byte(text),
		config.Options{Keys: caller.NewKeySets(caller.KeySetOptions{Now: c.now})})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func lastUsedLine(who, identity string, at float64) string {
	return fmt.Sprintf("deskmint_caller_identity_last_used_seconds{caller=%q,identity=%q} %s\n", who, identity,
		strconv.FormatFloat(at, 'g', -1, 64))
}

// TestIdentities checks that an identity is accepted until its end and then refused as expired, on
// a connection that stays open. Each record names the identity. A metric has its last use, and a
// reload keeps the value.
func TestIdentities(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var c clock
		s := start(t, settings{configuration: configuration, now: c.now})
		const old, fresh = "dmk_slow", "dmk_fresh"
		identities := fmt.Sprintf(
			"{name: old, not_after: 2026-03-14T16:00:00Z, api_key_sha256: %s}, {name: fresh, api_key_sha256: %s}",
			caller.HashKey(old), caller.HashKey(fresh))
		if err := s.Swap(t.Context(), withIdentities(t, &c, identities)); err != nil {
			t.Fatal(err)
		}
		checkMetrics := func(lines ...string) {
			t.Helper()
			text := s.ops(t, "/metrics")
			for _, line := range lines {
				if !strings.Contains(text, line) {
					t.Errorf("no line %s", line)
				}
			}
		}
		validate := func(key string) reply {
			return tr.send(t.Context(), t, s, call{
				method: "MintToken", keys: []string{key}, body: user("") + `,"validateOnly":true`,
			})
		}
		record := func() audit.Record {
			t.Helper()
			all := records(t, s)
			if len(all) != 1 {
				t.Fatalf("%d records, want 1", len(all))
			}
			return all[0]
		}

		checkMetrics(lastUsedLine("slow", "old", 0), lastUsedLine("slow", "fresh", 0),
			"deskmint_caller_identity_not_after_seconds{caller=\"slow\",identity=\"old\"} 1.773504e+09\n")
		if r := validate(old); r.code != codes.OK {
			t.Fatalf("%v %s", r.code, r.reason)
		}
		if r := record(); r.Caller != "slow" || r.Identity != "old" || r.Decision != audit.Allow {
			t.Errorf("the record is %+v", r)
		}
		checkMetrics(lastUsedLine("slow", "old", 1773500966.535), lastUsedLine("slow", "fresh", 0))

		c.set(time.Date(2026, 3, 14, 16, 0, 0, 1, time.UTC).Sub(now))
		checkRefused(t, tr, validate(old), codes.Unauthenticated, "CALLER_UNAUTHENTICATED", http.StatusUnauthorized, 0)
		if r := record(); r.Caller != "slow" || r.Identity != "old" || r.Credential != "expired" ||
			r.Reason != "CALLER_UNAUTHENTICATED" ||
			r.Decision != audit.Deny {
			t.Errorf("the record of an identity that has ended is %+v", r)
		}
		if r := validate(fresh); r.code != codes.OK {
			t.Errorf("%v %s", r.code, r.reason)
		}
		if r := record(); r.Identity != "fresh" {
			t.Errorf("the record is %+v", r)
		}
		checkMetrics(lastUsedLine("slow", "old", 1773500966.535), lastUsedLine("slow", "fresh", 1773504000))

		// A reload keeps the times of the remaining identities and removes those of the others.
		next := withIdentities(t, &c, "{name: fresh, api_key_sha256: "+caller.HashKey(fresh)+"}")
		if err := s.Swap(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		checkMetrics(lastUsedLine("slow", "fresh", 1773504000))
		if text := s.ops(t, "/metrics"); strings.Contains(text, `identity="old"`) {
			t.Error("the metrics have an identity that was removed")
		}
	})
}

// TestFloodOfEndedIdentities checks that a client with an expired credential can't fill the disk.
func TestFloodOfEndedIdentities(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var c clock
		s := start(t, settings{configuration: configuration, now: c.now})
		expired := "{not_after: 2026-03-13, api_key_sha256: " + caller.HashKey("dmk_slow") + "}"
		if err := s.Swap(t.Context(), withIdentities(t, &c, expired)); err != nil {
			t.Fatal(err)
		}
		const flood = 300
		for range flood {
			r := tr.send(t.Context(), t, s, call{method: "MintToken", keys: []string{"dmk_slow"}, body: user("")})
			if r.reason != "CALLER_UNAUTHENTICATED" {
				t.Fatalf("%v %s", r.code, r.reason)
			}
		}
		if err := s.Trail.Close(); err != nil {
			t.Fatal(err)
		}
		single, counted := 0, 0
		for _, r := range records(t, s) {
			if r.Count == 0 {
				single++
			} else if counted += r.Count; r.Caller != "" || r.Identity != "" || r.Credential != "expired" {
				t.Errorf("a record with a count is %+v", r)
			}
		}
		if single+counted != flood || counted == 0 {
			t.Errorf("%d single records and %d counted requests, want %d in all", single, counted, flood)
		}
	})
}
