package vault_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

// dates sets the date of the fake Vault's answers to now plus offset.
func (f *fakeVault) dates(now *clock, offset time.Duration) {
	f.set(func(f *fakeVault) { f.date = now.Now().Add(offset).UTC().Format(http.TimeFormat) })
}

func TestClockOffset(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now})
	if offset, known := source.ClockOffset(); known || offset != 0 {
		t.Errorf("before any answer: %v, %v", offset, known)
	}
	// On average the true time is half a second after the date.
	for _, want := range []time.Duration{0, time.Hour, -time.Hour, 29 * time.Second, 400 * 24 * time.Hour} {
		f.dates(now, want)
		if _, err := source.Status(t.Context(), acme.Path); err != nil {
			t.Fatal(err)
		}
		if offset, known := source.ClockOffset(); !known || offset != want+500*time.Millisecond {
			t.Errorf("%v, %v, want %v and half a second", offset, known, want)
		}
		now.add(time.Second)
	}
}

// TestClockOffsetOfASlowAnswer checks that half of the time between request and answer is taken as
// the time until Vault received the request.
func TestClockOffsetOfASlowAnswer(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	f.dates(now, 10*time.Second)
	slow := roundTrip(func(req *http.Request) (*http.Response, error) {
		now.add(2 * time.Second)
		defer now.add(2 * time.Second)
		return http.DefaultTransport.RoundTrip(req)
	})
	s := appRole(t, f.URL)
	s.Auth = vault.Auth{Method: "token", TokenFile: credentialFile(t, "hvs.one")}
	f.answers["auth/token/lookup-self"] = reply{403, ""} // one answer only
	source := newSource(t, s, vault.Options{Now: now.Now, Transport: slow})
	_, err := source.Status(t.Context(), acme.Path)
	checkUnavailable(t, err)
	if offset, known := source.ClockOffset(); !known || offset != 8500*time.Millisecond {
		t.Errorf("%v, %v, want 8.5s", offset, known)
	}
}

func TestAnswersWithoutAUsableDate(t *testing.T) {
	for name, spoil := range map[string]func(*fakeVault){
		"no date":       func(f *fakeVault) { f.date = "-" },
		"no real date":  func(f *fakeVault) { f.date = canary },
		"a proxy's 502": func(f *fakeVault) { f.answers["secret/metadata/sso/acme"] = reply{502, canary} },
		"unavailable":   func(f *fakeVault) { f.CloseClientConnections(); f.Listener.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			f, now := newFakeVault(t), newClock()
			log := &strings.Builder{}
			source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now, Log: secretstest.NewLog(log)})
			f.dates(now, 7*time.Second)
			if _, err := source.Status(t.Context(), acme.Path); err != nil {
				t.Fatal(err)
			}
			f.dates(now, time.Hour)
			f.set(spoil)
			_, _ = source.Status(t.Context(), acme.Path) // some of these fail
			if offset, known := source.ClockOffset(); !known || offset != 7500*time.Millisecond {
				t.Errorf("%v, %v, want the one before, 7.5s", offset, known)
			}
			if strings.Contains(log.String(), "clock") || strings.Contains(log.String(), canary) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// TestClockWarning checks that each crossing of a limit is logged once, and that an offset that
// varies near a limit is not.
func TestClockWarning(t *testing.T) {
	f, now := newFakeVault(t), newClock()
	log := &strings.Builder{}
	source := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now, Log: secretstest.NewLog(log)})
	const warns, agrees = "level=WARN", "agree again"
	for _, step := range []struct {
		offset time.Duration // of the date; the true offset is half a second more
		says   string        // empty: no message about clocks
	}{
		{0, ""},
		{29 * time.Second, ""},
		{31 * time.Second, warns},
		{31 * time.Second, ""},
		{29 * time.Second, ""},
		{31 * time.Second, ""},
		{26 * time.Second, ""},
		{-time.Hour, ""}, // still beyond the limit, in the other direction
		{24 * time.Second, agrees},
		{29 * time.Second, ""},
		{-29 * time.Second, ""},
		{-31 * time.Second, warns},
		{-27 * time.Second, ""},
		{0, agrees},
		{time.Hour, warns},
	} {
		f.dates(now, step.offset)
		log.Reset()
		for range 3 {
			if _, err := source.Status(t.Context(), acme.Path); err != nil {
				t.Fatal(err)
			}
		}
		want := map[bool]int{true: 1}[step.says != ""]
		if got := strings.Count(log.String(), "clock"); got != want || !strings.Contains(log.String(), step.says) {
			t.Errorf("at %v %d lines, want %d with %q: %s", step.offset, got, want, step.says, log)
		}
	}
	if !strings.Contains(log.String(), "vault_minus_ours=1h0m1s") {
		t.Errorf("the last warning doesn't say by how much: %s", log)
	}
}

// realClock checks the offset of a real Vault on this machine. Vault has the local clock. The test
// shifts the clock of the source.
func realClock(t *testing.T, settings vault.Settings) {
	behind := func() time.Time { return time.Now().Add(-time.Minute) }
	for _, tc := range []struct {
		name string
		now  func() time.Time
		want time.Duration
	}{{"right", time.Now, 0}, {"a minute behind", behind, time.Minute}} {
		source := newSource(t, settings, vault.Options{Now: tc.now})
		_, _ = source.Status(t.Context(), "sso/clock") // there is no such secret, which is an answer too
		offset, known := source.ClockOffset()
		if !known || (offset-tc.want).Abs() > 3*time.Second {
			t.Errorf("%s: %v, %v", tc.name, offset, known)
		}
	}
}
