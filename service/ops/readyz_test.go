package ops

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
)

// faultySecrets holds nothing. Each secret has the same fault. Secrets whose path ends with "off"
// are switched off, and the others are unusable.
type faultySecrets struct {
	failingSecrets
	fault error
}

func (s faultySecrets) State(secrets.Ref) (secrets.State, bool) {
	return secrets.State{Fault: s.fault}, true
}

func (s faultySecrets) Get(ref secrets.Ref, _ time.Duration) (*secrets.Held, error) {
	if strings.HasSuffix(ref.Path, "off") {
		return nil, secrets.ErrDisabled
	}
	return nil, secrets.ErrUnusable
}

// newFaultyMonitor returns a monitor of this many configurations, whose faults have this many
// characters. The last ten are unusable, and the others are switched off.
func newFaultyMonitor(t *testing.T, count, length int) *Monitor {
	t.Helper()
	var text strings.Builder
	text.WriteString("secrets: {source: memory}\nconfigurations:\n")
	for i := range count {
		path := "off"
		if i >= count-10 {
			path = "bad"
		}
		fmt.Fprintf(&text, "  - {name: c-%04d, secret: {path: %s}, zendesk_sso: {audiences: [end_user], "+
			"brands: [{id: \"1\", subdomain: c}]}}\n", i, path)
	}
	snapshot, err := config.Parse("test.yaml", []byte(text.String()), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fault := fmt.Errorf("%w: %s", secrets.ErrUnusable, strings.Repeat("\x01é", length/2))
	m := New(Options{
		Snapshot: func() *config.Snapshot { return snapshot },
		Secrets:  faultySecrets{fault: fault}, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	notReady := strings.Repeat("f", 1<<20)
	m.selfTests.fault.Store(&notReady)
	return m
}

// TestReadyzIsLimited checks that the answer is valid JSON and at most 64 KiB long, whatever the
// number of configurations and the length of their faults. What it leaves out is counted, and those
// that can't sign are left out last.
func TestReadyzIsLimited(t *testing.T) {
	for _, tc := range []struct{ count, length int }{{10, 10}, {600, 10}, {600, 1 << 20}, {20, 2000}, {500, 100}} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			m := newFaultyMonitor(t, tc.count, tc.length)
			get := func(query string) (all struct {
				Configurations map[string]secretReadiness
				LeftOut        int `json:"configurations_left_out"`
			}) {
				t.Helper()
				w := httptest.NewRecorder()
				m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz"+query, nil))
				if w.Body.Len() > 64<<10 || json.Unmarshal(w.Body.Bytes(), &all) != nil {
					t.Fatalf("the answer has %d bytes and is not valid: %s", w.Body.Len(), w.Body)
				}
				return all
			}
			all := get("")
			if got := len(all.Configurations); got+all.LeftOut != tc.count || got == 0 {
				t.Errorf("%d configurations and %d left out, want %d", got, all.LeftOut, tc.count)
			}
			unusable := 0
			for _, c := range all.Configurations {
				if c.State == string(Unusable) {
					unusable++
				}
			}
			if unusable < min(10, len(all.Configurations)) {
				t.Errorf("%d configurations of %d are unusable", unusable, len(all.Configurations))
			}
			two := get("?" + url.Values{"configuration": {"c-0000", "c-0009", "absent"}}.Encode())
			if len(two.Configurations) != 2 || two.LeftOut != 0 {
				t.Errorf("%d configurations and %d left out, want the 2 named ones", len(two.Configurations),
					two.LeftOut)
			}
		})
	}
}
