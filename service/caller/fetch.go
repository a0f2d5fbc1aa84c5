package caller

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/deskmint/deskmint/service/readfile"
)

// maxResponse is the maximal size of an issuer's response and of a key file, in bytes.
const maxResponse = 1 << 20

// maxRedirects is how many redirects a request follows.
const maxRedirects = 3

// fetch returns the JWK set of an issuer. Its errors contain nothing of the response. measure
// returns a transport that compares the dates of the responses with the local clock.
func fetch(
	ctx context.Context, source Issuer, measure func(http.RoundTripper) http.RoundTripper,
) ([]byte, error) {
	if source.byFile() {
		return readfile.File(source.JWKS, maxResponse)
	}
	client, err := clientFor(source)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	client.Transport = measure(client.Transport)
	token, err := tokenFor(source)
	if err != nil {
		return nil, err
	}
	if source.byURL() {
		return get(ctx, client, source.JWKS, token)
	}
	return discover(ctx, client, source, token)
}

// discover reads the location of the keys from the issuer's discovery document (OpenID Connect
// Discovery 1.0 section 4). The document must name this issuer. Otherwise the keys of another
// issuer would verify its tokens (section 4.3).
func discover(ctx context.Context, client *http.Client, source Issuer, token string) ([]byte, error) {
	at := strings.TrimSuffix(source.Issuer, "/") + "/.well-known/openid-configuration"
	text, err := get(ctx, client, at, token)
	if err != nil {
		return nil, err
	}
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if json.Unmarshal(text, &document) != nil {
		return nil, fmt.Errorf("%s is no discovery document", at)
	}
	if document.Issuer != source.Issuer {
		return nil, fmt.Errorf("%s is the document of another issuer", at)
	}
	keys, err := url.Parse(document.JWKS)
	if err != nil || !secure(keys) {
		return nil, fmt.Errorf("%s: jwks_uri is no https URL", at)
	}
	// Send the token only to the host that the operator configured.
	if issuer, err := url.Parse(source.Issuer); err != nil || keys.Host != issuer.Host || keys.Scheme != issuer.Scheme {
		token = ""
	}
	return get(ctx, client, document.JWKS, token)
}

func get(ctx context.Context, client *http.Client, at, token string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", at)
	}
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, err // names the URL
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", at, res.StatusCode)
	}
	return limited(res.Body, at)
}

func limited(from io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxResponse+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case len(text) > maxResponse:
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxResponse)
	}
	return text, nil
}

// clientFor returns a client for one fetch. It isn't reused, because fetches are minutes apart and
// the CA file may have changed meanwhile.
func clientFor(source Issuer) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if source.CA != "" {
		text, err := readfile.Small(source.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", source.CA)
		}
	}
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if len(before) > maxRedirects {
				return errors.New("too many redirects")
			}
			if !secure(next.URL) || before[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
				return errors.New("a redirect away from https")
			}
			if next.URL.Host != before[0].URL.Host { // net/http would ignore the port and accept subdomains
				next.Header.Del("Authorization")
			}
			return nil
		},
	}, nil
}

func tokenFor(source Issuer) (string, error) {
	if source.TokenFile == "" {
		return "", nil
	}
	text, err := readfile.Small(source.TokenFile)
	if err != nil {
		return "", err
	}
	token := bytes.TrimSpace(text)
	if len(token) == 0 || bytes.ContainsAny(token, " \r\n\t") {
		return "", fmt.Errorf("%s holds no bearer token", source.TokenFile)
	}
	return string(token), nil
}
