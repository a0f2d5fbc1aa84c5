package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

// DefaultTimeout is the time limit of one request to one server. The defaults of Vault's client are
// a minute and two retries. With them a read would hang in an outage. Here the keyring retries.
const DefaultTimeout = 2 * time.Second

// maxBody is the maximum size of an answer. The metadata of a secret with all its versions are much
// smaller.
const maxBody = 1 << 20

// wire sends requests to the servers of one cluster.
type wire struct {
	servers   []server
	ca        *caTransport // nil if the transport is that of Options
	preferred atomic.Int64 // the index of the server that answered last
	timeout   time.Duration
	namespace string
}

type server struct {
	host   string
	client *api.Client // has no token; each request carries one
}

// answer is the answer of a server. Its body never appears in errors or logs.
type answer struct {
	status int
	body   []byte
}

// decode decodes the body. It reports whether the body has the expected form.
func (a answer) decode(into any) bool { return json.Unmarshal(a.body, into) == nil }

func newWire(s Settings, transport http.RoundTripper, timeout time.Duration, c *clock) (*wire, error) {
	if skip := os.Getenv(api.EnvVaultSkipVerify); skip != "" && !s.SkipVerify {
		if on, err := strconv.ParseBool(skip); err != nil || on {
			return nil, errors.New("vault: VAULT_SKIP_VERIFY is set in the environment, but certificates are " +
				"verified: unset it, and name the authority in ca (or, for a trial, set secrets.vault.skip_verify)")
		}
	}
	w := &wire{timeout: timeout, namespace: s.Namespace}
	if transport == nil {
		ca, err := newCATransport(s, timeout, c.log)
		if err != nil {
			return nil, err
		}
		w.ca, transport = ca, ca
	}
	for _, address := range s.Addresses {
		client, err := newClient(address, s.Namespace, limitedTransport{c.measure(transport)})
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(address)
		if err != nil {
			return nil, errors.New("vault: an address is not a URL")
		}
		w.servers = append(w.servers, server{host: u.Host, client: client})
	}
	return w, nil
}

// newClient returns a client that ignores the environment variables for Vault's address,
// credential, headers and response wrapping.
func newClient(address, namespace string, transport http.RoundTripper) (*api.Client, error) {
	client, err := api.NewClient(&api.Config{
		Address: address,
		HttpClient: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// The client sends the token to the configured servers and to no other.
		DisableRedirects: true,
		// Timeout is not set, because the client would apply it only until the body is read. Each
		// request has a deadline instead.
		CheckRetry: func(_ context.Context, _ *http.Response, err error) (bool, error) { return false, err },
	})
	if err != nil {
		// NewClient reads the environment first, and its error may quote it.
		return nil, fmt.Errorf("vault: a variable in the environment is malformed, and the client reads it: unset %s",
			strings.Join(vaultVariables(), ", "))
	}
	client.ClearToken()
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	if namespace != "" {
		client.SetNamespace(namespace)
	}
	client.SetWrappingLookupFunc(func(string, string) string { return "" })
	return client, nil
}

// vaultVariables returns the names of the environment variables for Vault that are set, except
// VAULT_TOKEN, which may be in use.
func vaultVariables() []string {
	var names []string
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "VAULT_") && name != api.EnvVaultToken {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// read requests path (without /v1/) with the given token.
func (w *wire) read(ctx context.Context, act, token, path string, query url.Values) (answer, error) {
	return w.send(ctx, act, token, func(ctx context.Context, l *api.Logical) (*api.Response, error) {
		return l.ReadRawWithDataWithContext(ctx, path, query)
	})
}

// write sends fields to path. The token is empty for a login.
func (w *wire) write(ctx context.Context, act, token, path string, fields any) (answer, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return answer{}, err
	}
	return w.send(ctx, act, token, func(ctx context.Context, l *api.Logical) (*api.Response, error) {
		return l.WriteRawWithContext(ctx, path, body)
	})
}

// send tries the servers in turn, beginning with the one that answered last. It stops at the first
// server that neither fails nor reports that it can't serve. It returns the last answer. An error
// means that the whole cluster is unavailable.
func (w *wire) send(
	ctx context.Context, act, token string, do func(context.Context, *api.Logical) (*api.Response, error),
) (a answer, err error) {
	first := int(w.preferred.Load())
	for i := range w.servers {
		n := (first + i) % len(w.servers)
		a, err = w.servers[n].send(ctx, w.timeout, act, token, do)
		if err == nil && !tryNextServer(a.status) {
			w.preferred.Store(int64(n))
			return a, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return a, err
}

// tryNextServer reports whether another server of the cluster may be able to serve the request.
func tryNextServer(status int) bool {
	switch status {
	case http.StatusTemporaryRedirect, http.StatusPreconditionFailed, http.StatusTooManyRequests, 472, 473:
		return true
	}
	return status >= 500
}

func (s server) send(
	ctx context.Context, timeout time.Duration, act, token string,
	do func(context.Context, *api.Logical) (*api.Response, error),
) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := s.client.WithRequestCallbacks(func(r *api.Request) { r.ClientToken = token })
	resp, err := do(ctx, client.Logical())
	if resp == nil {
		return answer{}, transportError(act, s.host, err)
	}
	defer resp.Body.Close()
	// An error together with a response only describes its status and body.
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, transportError(act, s.host, err)
	}
	return answer{status: resp.StatusCode, body: body}, nil
}

// limitedTransport is a transport that truncates answers at maxBody. A truncated answer can't be
// decoded.
type limitedTransport struct{ next http.RoundTripper }

func (b limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxBody), resp.Body}
	return resp, nil
}
