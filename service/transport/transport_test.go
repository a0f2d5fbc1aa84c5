package transport

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// lateTimer is a context whose deadline has passed, but whose timer hasn't ended it.
type lateTimer struct{ context.Context }

func (lateTimer) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

func TestOver(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		want error
	}{
		{t.Context(), nil}, {ended, context.Canceled}, {lateTimer{t.Context()}, context.DeadlineExceeded},
	} {
		if err := Over(test.ctx); !errors.Is(err, test.want) {
			t.Errorf("%v, want %v", err, test.want)
		}
	}
}

// TestBrokenMethods shows that a method that answers nothing, or panics, gives INTERNAL and doesn't
// end the process.
func TestBrokenMethods(t *testing.T) {
	for name, serve := range map[string]func(context.Context, *Call) Answer{
		"no answer": func(context.Context, *Call) Answer { return Answer{} },
		"a panic":   func(context.Context, *Call) Answer { panic("x") },
	} {
		servers, err := New(Options{
			Methods:  []Method{{Full: pb.TokenService_MintToken_FullMethodName, Serve: serve}},
			Log:      slog.New(slog.DiscardHandler),
			Timeouts: DefaultTimeouts(),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = pb.NewTokenServiceClient(servers.Local()).MintToken(t.Context(), &pb.MintTokenRequest{})
		if status.Code(err) != codes.Internal || err.Error() != Internal().Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPathWithoutField shows that a path parameter without a field in the message is refused.
func TestPathWithoutField(t *testing.T) {
	call := &httpCall{params: map[string]string{"nonsense": "x"}}
	refusal := (*Refusal)(nil)
	err := call.setPath(&pb.MintTokenRequest{})
	if !errors.As(err, &refusal) || refusal.HTTP != http.StatusBadRequest || refusal.Reason != ReasonInvalidRequest {
		t.Errorf("%v", err)
	}
}
