package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// bidi is a connection of the protocol WebDriver BiDi: https://w3c.github.io/webdriver-bidi
type bidi struct {
	socket *websocket.Conn
	event  func(method string, params json.RawMessage)

	mu      sync.Mutex
	last    int
	pending map[int]chan bidiMessage
	ended   error // what ended the connection
}

type bidiMessage struct {
	ID      int             `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
}

// dialBiDi connects to a browser. It calls event for every event, one after the other.
func dialBiDi(
	ctx context.Context, url string, event func(string, json.RawMessage),
) (*bidi, error) {
	socket, _, err := websocket.Dial(ctx, url, nil) //nolint:bodyclose // Dial closes it
	if err != nil {
		return nil, err
	}
	socket.SetReadLimit(-1) // screenshots are long
	c := &bidi{socket: socket, event: event, pending: map[int]chan bidiMessage{}}
	go c.receive()
	return c, nil
}

func (c *bidi) receive() {
	for {
		var m bidiMessage
		if err := wsjson.Read(context.Background(), c.socket, &m); err != nil {
			c.fail(err)
			return
		}
		if m.ID == 0 {
			c.event(m.Method, m.Params)
			continue
		}
		c.mu.Lock()
		answer := c.pending[m.ID]
		delete(c.pending, m.ID)
		c.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	}
}

func (c *bidi) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = err
	for id, answer := range c.pending {
		answer <- bidiMessage{Error: "connection ended", Message: err.Error()}
		delete(c.pending, id)
	}
}

// call runs a command. If result isn't nil, it is decoded into it.
func (c *bidi) call(ctx context.Context, method string, params map[string]any, result any) error {
	answer := make(chan bidiMessage, 1)
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return fmt.Errorf("%s: the connection ended: %w", method, c.ended)
	}
	c.last++
	id := c.last
	c.pending[id] = answer
	c.mu.Unlock()
	command := map[string]any{"id": id, "method": method, "params": params}
	if err := wsjson.Write(ctx, c.socket, command); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m := <-answer:
		if m.Error != "" {
			return fmt.Errorf("%s: %s: %s", method, m.Error, m.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}
