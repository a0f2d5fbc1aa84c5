package browsertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// webdriver is a session of the protocol WebDriver: https://w3c.github.io/webdriver
type webdriver struct {
	address string
	session string // path of the session

	mu      sync.Mutex // held during a command, which goes to the current window
	current string
}

// request sends one request. If result isn't nil, the answer's value is decoded into it.
func (c *webdriver) request(ctx context.Context, method, path string, body, result any) error {
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.address+path, text)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var decoded struct{ Value json.RawMessage }
	if err := json.NewDecoder(answer.Body).Decode(&decoded); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, decoded.Value)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(decoded.Value, result)
}

// begin waits until the driver answers, and starts a browser.
func (c *webdriver) begin(ctx context.Context, binary string, arguments []string) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	var answer struct{ SessionID string }
	err := c.request(ctx, http.MethodPost, "/session", object{"capabilities": object{"alwaysMatch": object{
		"pageLoadStrategy":         "none",
		"webkitgtk:browserOptions": object{"binary": binary, "args": arguments},
	}}}, &answer)
	c.session = "/session/" + answer.SessionID
	return err
}

func (c *webdriver) ready(ctx context.Context) error {
	for {
		err := c.request(ctx, http.MethodGet, "/status", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pollInterval):
		}
	}
}

// post runs a command in a window.
func (c *webdriver) post(ctx context.Context, window, command string, body object, result any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.focus(ctx, window); err != nil {
		return err
	}
	return c.request(ctx, http.MethodPost, c.session+command, body, result)
}

// get reads something of a window.
func (c *webdriver) get(ctx context.Context, window, command string, result any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.focus(ctx, window); err != nil {
		return err
	}
	return c.request(ctx, http.MethodGet, c.session+command, nil, result)
}

func (c *webdriver) focus(ctx context.Context, window string) error {
	if window == c.current {
		return nil
	}
	err := c.request(ctx, http.MethodPost, c.session+"/window", object{"handle": window}, nil)
	if err == nil {
		c.current = window
	}
	return err
}
