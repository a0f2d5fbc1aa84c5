package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/deskmint/deskmint/service/config"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// answered is an answer of Deskmint's, read to its end.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// ask posts to Deskmint's REST gateway as the app does, with its key.
func (d *demo) ask(ctx context.Context, path string, body []byte) (answered, error) {
	// #nosec G704 -- the host is our own listener, and in path only a configured name differs
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.deskmint+path, bytes.NewReader(body))
	if err != nil {
		return answered{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+config.DevKey)
	return d.do(request)
}

func (d *demo) do(request *http.Request) (answered, error) {
	response, err := d.client.Do(request) // #nosec G704 -- as above
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return answered{response.StatusCode, response.Header, text}, err
}

// reasonIn finds the reason in an error of Deskmint's; "" where it has none.
func reasonIn(body []byte) string {
	var e struct {
		Details []struct {
			Reason string `json:"reason"`
		} `json:"details"`
	}
	_ = json.Unmarshal(body, &e) // what can't be read has none
	for _, detail := range e.Details {
		if detail.Reason != "" {
			return detail.Reason
		}
	}
	return ""
}

// failure is what ReportSignInFailure says of Zendesk's message.
type failure struct {
	Class          string            `json:"class"`
	Cause          string            `json:"cause"`
	OperatorAdvice string            `json:"operatorAdvice"`
	UserAdvice     string            `json:"userAdvice"`
	HTML           string            `json:"html"`
	Headers        map[string]string `json:"headers"`
}

// report hands Deskmint the query that came to the remote logout URL.
func (d *demo) report(ctx context.Context, configuration string, query map[string]string) (failure, error) {
	body := map[string]string{"onError": "ON_ERROR_PAGE"}
	for name, value := range query {
		body[name] = value
	}
	text, err := json.Marshal(body)
	if err != nil {
		return failure{}, err
	}
	answer, err := d.ask(ctx, "/v1/configurations/"+configuration+":reportSignInFailure", text)
	var f failure
	if err == nil {
		err = json.Unmarshal(answer.body, &f)
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

func (d *demo) readyz(ctx context.Context) (now readiness) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.ops+"/readyz", nil)
	if err != nil {
		return now
	}
	if answer, err := d.do(request); err == nil {
		_ = json.Unmarshal(answer.body, &now) // what can't be read isn't shown
	}
	return now
}
