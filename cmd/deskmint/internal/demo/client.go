package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/deskmint/deskmint/service/config"
)

// maxResponse limits how much of a response body is read, in bytes.
const maxResponse = 1 << 20

// client calls Deskmint as the company's app and as its operator.
type client struct {
	rest, ops string // URLs of the REST gateway and the ops listener
	http      *http.Client
}

// response is an HTTP response with its body.
type response struct {
	status int
	header http.Header
	body   []byte
}

// post sends JSON to the REST gateway, with the app's API key.
func (c *client) post(ctx context.Context, path string, body []byte) (response, error) {
	// #nosec G704 -- the host is our own listener, and in path only a configured name differs
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.rest+path, bytes.NewReader(body))
	if err != nil {
		return response{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+config.DevKey)
	return c.do(request)
}

func (c *client) do(request *http.Request) (response, error) {
	r, err := c.http.Do(request) // #nosec G704 -- as above
	if err != nil {
		return response{}, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, maxResponse))
	return response{r.StatusCode, r.Header, body}, err
}

// reasonOf returns the reason that an error response of Deskmint gives; "" if it gives none.
func reasonOf(body []byte) string {
	var e struct {
		Details []struct {
			Reason string `json:"reason"`
		} `json:"details"`
	}
	_ = json.Unmarshal(body, &e) // a body that isn't JSON gives no reason
	for _, detail := range e.Details {
		if detail.Reason != "" {
			return detail.Reason
		}
	}
	return ""
}

// signInFailure is Deskmint's explanation of a failure that Zendesk has reported.
type signInFailure struct {
	Class          string            `json:"class"`
	Cause          string            `json:"cause"`
	OperatorAdvice string            `json:"operatorAdvice"`
	UserAdvice     string            `json:"userAdvice"`
	HTML           string            `json:"html"`
	Headers        map[string]string `json:"headers"`
}

// reportSignInFailure calls ReportSignInFailure with the query of the remote logout URL.
func (c *client) reportSignInFailure(
	ctx context.Context, configuration string, query map[string]string,
) (signInFailure, error) {
	body := map[string]string{"onError": "ON_ERROR_PAGE"}
	for name, value := range query {
		body[name] = value
	}
	text, err := json.Marshal(body)
	if err != nil {
		return signInFailure{}, err
	}
	r, err := c.post(ctx, "/v1/configurations/"+configuration+":reportSignInFailure", text)
	var f signInFailure
	if err == nil {
		err = json.Unmarshal(r.body, &f)
	}
	return f, err
}

// readiness is the part of /readyz that the demo shows.
type readiness struct {
	Ready          bool `json:"ready"`
	Configurations map[string]struct {
		State  string `json:"state"`
		Active int    `json:"active_version"`
		Staged int    `json:"staged_version"`
		Fault  string `json:"fault"`
	} `json:"configurations"`
}

// readyz reads /readyz of the ops listener. It returns an empty value if there is no usable
// response.
func (c *client) readyz(ctx context.Context) (state readiness) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.ops+"/readyz", nil)
	if err != nil {
		return state
	}
	if r, err := c.do(request); err == nil {
		_ = json.Unmarshal(r.body, &state)
	}
	return state
}
