package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
)

// maxDuration is the longest that a request may take, whatever deadline it came
// with. Nothing here waits for the network but RefreshSecret.
const maxDuration = 15 * time.Second

// intercept is what every request passes, at both transports: recovery outermost, so
// that a panic further in is one request's error; then the record, which is written
// before the answer leaves; then the deadline; then who is calling.
func (s *Service) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if !ours(info.FullMethod) {
		return handle(ctx, request) // health, which anybody may ask
	}
	c := &call{snapshot: s.snapshotFor(ctx), record: audit.Record{Transport: transportOf(ctx), Method: info.FullMethod[strings.LastIndex(info.FullMethod, "/")+1:], RequestID: requestID(ctx)}}
	c.record.Action = string(actionOf(c.record.Method))
	s.traced(ctx, c)
	response, err := s.recovered(ctx, c, func() (any, error) { return s.concluded(withCall(ctx, c), c, request, handle) })
	if err != nil {
		response, err = s.recovered(ctx, c, func() (any, error) { return s.pageInstead(ctx, c, request, err) })
	}
	header := c.header
	if header == nil || err != nil {
		header = metadata.MD{}
	}
	header.Set(headerRequestID, c.record.RequestID)
	if unheard := grpc.SetHeader(ctx, header); err == nil {
		err = unheard
	}
	if err != nil {
		return nil, statusOf(err).Err()
	}
	return response, nil
}

// concluded is a request with what is done about its outcome. What it answers, the
// head included, goes out only with a decision that is on record.
func (s *Service) concluded(ctx context.Context, c *call, request any, handle grpc.UnaryHandler) (any, error) {
	started := time.Now()
	response, err := s.recovered(ctx, c, func() (any, error) { return s.bounded(ctx, request, handle) })
	if auditErr := s.writeRecord(ctx, c, err); auditErr != nil {
		response, err = nil, auditErr
	}
	s.logCause(ctx, c, err)
	reason := s.metrics.observe(c, err, time.Since(started))
	s.outlined(ctx, c, reason)
	return response, err
}

// ours are the methods that need a caller.
func ours(method string) bool {
	return strings.HasPrefix(method, "/"+pb.TokenService_ServiceDesc.ServiceName+"/") ||
		strings.HasPrefix(method, "/"+pb.ConfigurationService_ServiceDesc.ServiceName+"/")
}

// recovered makes a panic an error, and tells operators where it was.
func (s *Service) recovered(ctx context.Context, c *call, do func() (any, error)) (response any, err error) {
	defer func() {
		if p := recover(); p != nil {
			response, err = nil, newPanicError(p)
			s.logFault(ctx, c, err)
		}
	}()
	return do()
}

func (s *Service) bounded(ctx context.Context, request any, handle grpc.UnaryHandler) (any, error) {
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > maxDuration { // else the transport has seen to it
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, maxDuration)
		defer cancel()
	}
	if err := over(ctx); err != nil {
		return nil, err
	}
	return s.authenticated(ctx, request, handle)
}

// snapshotFor is the configuration that a request is decided by, from start to end.
func (s *Service) snapshotFor(ctx context.Context) *config.Snapshot {
	if o, ok := ctx.Value(outcomeKey{}).(outcome); ok {
		return o.snapshot
	}
	return s.snapshot.Load()
}

// whoCalls asks once for each request.
func (s *Service) whoCalls(ctx context.Context, c *call) (caller.Caller, error) {
	if o, ok := ctx.Value(outcomeKey{}).(outcome); ok {
		return o.caller, o.err
	}
	return c.snapshot.Callers.Authenticate(ctx, presented(ctx))
}

func (s *Service) authenticated(ctx context.Context, request any, handle grpc.UnaryHandler) (any, error) {
	c := callOf(ctx)
	who, err := s.whoCalls(ctx, c)
	if ended := (*caller.EndedError)(nil); errors.As(err, &ended) {
		c.noteCaller(ended.Caller) // for the record alone: c.caller stays empty
	}
	if err != nil {
		return nil, err
	}
	c.caller = who
	c.noteCaller(who)
	s.metrics.identities.used(who, s.now())
	return handle(ctx, request)
}

// writeRecord puts the decision on record. A call that its caller gave up is no
// decision, unless something was signed.
func (s *Service) writeRecord(ctx context.Context, c *call, err error) error {
	gone := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	if gone && c.record.TokenHash == "" {
		return nil
	}
	c.record.Time, c.record.Decision, c.record.Digest = s.now().UTC(), audit.Allow, c.snapshot.Digest
	if err != nil {
		c.record.Decision, c.record.Reason, c.record.Credential = audit.Deny, reasonOf(statusOf(err)), credentialFault(err)
	}
	var denied *policy.DeniedError
	if errors.As(err, &denied) {
		c.record.Rule = denied.Rule
	}
	return s.audit.Write(ctx, c.record, c.person)
}

// actionOf is what a method needs a grant for.
func actionOf(method string) policy.Action {
	switch method {
	case "MintToken", "RenderForm", "RenderPage":
		return policy.SignIn
	case "InspectToken":
		return policy.Inspect
	case "RefreshSecret":
		return policy.Refresh
	case "ReportSignInFailure":
		return policy.Report
	}
	return policy.Read
}

// logCause tells operators what the caller isn't told. Refusals are on record
// already; what is logged is what somebody has to act on.
func (s *Service) logCause(ctx context.Context, c *call, err error) {
	var panicked *panicError
	if err == nil || !refuse(err).fault || errors.As(err, &panicked) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	s.logFault(ctx, c, err)
}

// logFault logs one line a second for each cause: in an outage every request has the
// same.
func (s *Service) logFault(ctx context.Context, c *call, err error) {
	left, ok := s.repeats.pass(err.Error(), time.Now())
	if !ok {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", c.record.RequestID), slog.Int("left_out", left),
		slog.String("transport", c.record.Transport), slog.String("method", c.record.Method), slog.String("caller", c.record.Caller),
		slog.String("configuration", c.record.Configuration), slog.String("reason", refuse(err).reason), slog.String("cause", err.Error()),
	}
	if c.record.TraceID != "" {
		attrs = append(attrs, slog.String("trace_id", c.record.TraceID))
	}
	s.log.LogAttrs(ctx, slog.LevelError, "request failed", attrs...)
}

// panicError is a panic with its place, but without its value: that can be made of
// anything the handler held.
type panicError struct{ what string }

func (e *panicError) Error() string { return e.what }

func newPanicError(value any) error {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(4, pcs[:])])
	var where []string
	for {
		f, more := frames.Next()
		where = append(where, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more {
			break
		}
	}
	return &panicError{fmt.Sprintf("panic with a %T at %s", value, strings.Join(where, " < "))}
}
