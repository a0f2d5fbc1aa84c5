package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

func TestEnvironmentIsIgnored(t *testing.T) {
	otherServer := newFakeVault(t)
	for name, value := range map[string]string{
		"VAULT_ADDR": otherServer.URL, "VAULT_AGENT_ADDR": otherServer.URL,
		"VAULT_PROXY_ADDR": otherServer.URL, "VAULT_HTTP_PROXY": otherServer.URL,
		"VAULT_TOKEN": canary + "\x01", "VAULT_NAMESPACE": "theirs",
		"VAULT_HEADERS": `{"X-Other": "1"}`, "VAULT_WRAP_TTL": "5m",
		"VAULT_SRV_LOOKUP": "true", "VAULT_RATE_LIMIT": "0.001:1", "VAULT_CLIENT_TIMEOUT": "1ns",
		"VAULT_MAX_RETRIES": "9", "VAULT_SKIP_VERIFY": "false",
	} {
		t.Setenv(name, value)
	}
	for namespace, want := range map[string]string{"": "", "ours": "ours"} {
		f := newFakeVault(t)
		f.answers["secret/metadata/sso/acme"] = reply{503, ""}
		s := appRole(t, f.URL)
		s.Namespace = namespace
		_, err := newSource(t, s, vault.Options{}).Status(t.Context(), acme.Path)
		secretstest.CheckErrorText(t, err, "sealed")
		if len(f.requests) != 2 {
			t.Errorf("%d requests, want a login and a read", len(f.requests))
		}
		for i, r := range f.requests {
			if got := r.header.Get("X-Vault-Namespace"); got != want {
				t.Errorf("request %d is in namespace %q, want %q", i, got, want)
			}
			if r.header.Get("X-Other") != "" || r.header.Get("X-Vault-Wrap-TTL") != "" ||
				strings.Contains(r.token, canary) {
				t.Errorf("request %d has a value of the environment: %v", i, r.header)
			}
		}
	}
	if len(otherServer.requests) != 0 {
		t.Errorf("the environment's server received %+v", otherServer.requests)
	}
}

func TestMalformedEnvironmentIsNotQuoted(t *testing.T) {
	t.Setenv("VAULT_HTTP_PROXY", "http://user:"+canary+"@ho st")
	_, err := vault.New(appRole(t, "https://vault.internal:8200"), vault.Options{})
	secretstest.CheckErrorText(t, err, "VAULT_HTTP_PROXY")
}

func TestSeveralServers(t *testing.T) {
	sealed, good := newFakeVault(t), newFakeVault(t)
	for _, path := range []string{"auth/approle/login", "secret/metadata/sso/acme"} {
		sealed.answers[path] = reply{503, `{"errors": ["Vault is sealed"]}`}
	}
	source := newSource(t, appRole(t, sealed.URL, good.URL), vault.Options{})
	for range 3 {
		if _, err := source.Status(t.Context(), acme.Path); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(sealed.requests); n != 1 {
		t.Errorf("the sealed server received %d requests, want 1: the other one is preferred then", n)
	}
	// The second server fails, and the first one is unsealed.
	good.Close()
	sealed.set(func(f *fakeVault) {
		delete(f.answers, "auth/approle/login")
		f.answers["secret/metadata/sso/acme"] = reply{200, metadata(1, "", `null`)}
	})
	if status, err := source.Status(t.Context(), acme.Path); err != nil || status.Latest != 1 {
		t.Errorf("%+v, %v", status, err)
	}
	sealed.Close()
	_, err := source.Status(t.Context(), acme.Path)
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "no connection", "refused")
}

// TestRedirectsAreNotFollowed checks that no redirect can send the token to another host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newFakeVault(t)
	f := newFakeVault(t)
	f.Config.Handler = http.RedirectHandler(other.URL+"/v1/secret/metadata/sso/acme", http.StatusTemporaryRedirect)
	_, err := newSource(t, appRole(t, f.URL), vault.Options{}).Status(t.Context(), acme.Path)
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "list every server in addresses")
	if len(other.requests) != 0 {
		t.Errorf("followed with %+v", other.requests)
	}
}

func TestRequestToAHangingServerTimesOut(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	requests := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		requests <- struct{}{}
		<-hang
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	// The deadline gives a slow machine enough time to send the request.
	_, err := newSource(
		t,
		appRole(t, server.URL),
		vault.Options{Timeout: 2 * time.Second},
	).Status(t.Context(), acme.Path)
	checkUnavailable(t, err)
	secretstest.CheckErrorText(t, err, "no answer in time", strings.TrimPrefix(server.URL, "http://"))
	if len(requests) != 1 {
		t.Errorf("%d requests", len(requests))
	}
}

// TestRetryAfterIsNotWaitedFor checks that the source ignores Retry-After. The keyring decides when
// to try again. A client that waited would report its missed deadline instead of the status.
func TestRetryAfterIsNotWaitedFor(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		for path, want := range map[string]int{"auth/approle/login": 1, "secret/metadata/sso/acme": 2} {
			f := newFakeVault(t)
			requests := 0
			f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				if r.URL.Path == "/v1/"+path {
					w.Header().Set("Retry-After", "3600")
					w.WriteHeader(status)
					return
				}
				f.ServeHTTP(w, r)
			})
			source := newSource(t, appRole(t, f.URL), vault.Options{})
			_, err := source.Status(t.Context(), acme.Path)
			checkUnavailable(t, err)
			secretstest.CheckErrorText(t, err, path, fmt.Sprintf("(%d)", status))
			if requests != want {
				t.Errorf("%s, %d: %d requests, want %d", path, status, requests, want)
			}
		}
	}
}

// TestGarbageIsNotQuoted checks that no error quotes an answer that isn't HTTP. net/http would
// quote it.
func TestGarbageIsNotQuoted(t *testing.T) {
	for _, garbage := range []string{
		canary + "\r\n\r\n",
		"HTTP/1.1 " + canary + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + canary + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: " + canary + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + canary,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + canary + "\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 48\r\n\r\n" + canary,
		"HTTP/1.1 307 Moved\r\nLocation: http://" + canary + ":" + canary + "/\r\n\r\n",
		"",
	} {
		address := secretstest.Listen(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, garbage)
		})
		source := newSource(t, appRole(t, "http://"+address), vault.Options{})
		_, err := source.Status(t.Context(), acme.Path)
		checkUnavailable(t, err)
		secretstest.CheckErrorText(t, err, "vault: logging in at auth/approle/login: ")
	}
}

// TestCancelledReadEnds checks that the end of the caller's context ends the read at once, and is
// not reported as a failure of the server.
func TestCancelledReadEnds(t *testing.T) {
	f := newFakeVault(t)
	source := newSource(t, appRole(t, f.URL), vault.Options{})
	if _, err := source.Status(t.Context(), acme.Path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := source.Status(ctx, acme.Path)
	secretstest.CheckErrorText(t, err, "the request was cancelled")
	if errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
