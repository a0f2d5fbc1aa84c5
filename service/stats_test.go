package service_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// summary describes an event without the parts that only a gRPC server behind a socket reports. The
// descriptions of both transports must be the same.
func summary(t *testing.T, s stats.RPCStats) string {
	t.Helper()
	// Two answers never have the same token, so only the types of the payloads are compared.
	payload := func(m any, length, compressed int) string {
		if length != proto.Size(m.(proto.Message)) || compressed != length {
			t.Errorf("a %T of %d bytes, compressed %d; want %d", m, length, compressed, proto.Size(m.(proto.Message)))
		}
		return fmt.Sprintf("%T", m)
	}
	header := func(md metadata.MD) string {
		names := slices.Sorted(maps.Keys(md))
		return strings.Join(slices.DeleteFunc(names, func(n string) bool { return n == "content-type" }), " ")
	}
	if s.IsClient() {
		t.Errorf("the %T is an event of a client", s)
	}
	switch s := s.(type) {
	case *stats.InHeader:
		n := len(s.Header.Get("authorization"))
		if s.RemoteAddr == nil || s.LocalAddr == nil || n != 1 {
			t.Errorf("header from %v to %v with %d credentials", s.RemoteAddr, s.LocalAddr, n)
		}
		return "InHeader " + s.FullMethod
	case *stats.Begin:
		if s.BeginTime.IsZero() || s.IsClientStream || s.IsServerStream {
			t.Errorf("%+v", s)
		}
		return "Begin"
	case *stats.InPayload:
		if s.RecvTime.IsZero() {
			t.Error("the event has no time")
		}
		return "InPayload " + payload(s.Payload, s.Length, s.CompressedLength)
	case *stats.OutHeader:
		return "OutHeader " + header(s.Header)
	case *stats.OutPayload:
		if s.SentTime.IsZero() {
			t.Error("the event has no time")
		}
		return "OutPayload " + payload(s.Payload, s.Length, s.CompressedLength)
	case *stats.OutTrailer:
		return "OutTrailer " + header(s.Trailer)
	case *stats.End:
		if s.EndTime.Before(s.BeginTime) || s.BeginTime.IsZero() {
			t.Errorf("from %v to %v", s.BeginTime, s.EndTime)
		}
		return "End " + status.Code(s.Error).String()
	}
	return fmt.Sprintf("%T", s)
}

// TestStats checks that a stats handler receives the same events in the same order from both
// transports.
func TestStats(t *testing.T) {
	const page = "cache-control content-security-policy cross-origin-opener-policy cross-origin-resource-policy " +
		"deskmint-attempt deskmint-jti deskmint-outcome deskmint-secret-version permissions-policy " +
		"referrer-policy x-content-type-options x-frame-options x-request-id x-robots-tag"
	const method = "/deskmint.v1.TokenService/"
	cases := []struct {
		name string
		call call
		want []string
	}{
		{"success", call{method: "MintToken", body: user("")}, []string{
			"InHeader " + method + "MintToken", "Begin", fmt.Sprintf("InPayload %T", &pb.MintTokenRequest{}),
			"OutHeader x-request-id", fmt.Sprintf("OutPayload %T", &pb.MintTokenResponse{}), "OutTrailer ", "End OK",
		}},
		{"success with headers", call{method: "RenderPage", body: user("")}, []string{
			"InHeader " + method + "RenderPage", "Begin", fmt.Sprintf("InPayload %T", &pb.RenderPageRequest{}),
			"OutHeader " + page, fmt.Sprintf("OutPayload %T", &httpbody.HttpBody{}), "OutTrailer ", "End OK",
		}},
		{"refusal", call{method: "RenderPage", body: user(`,"organizations":[""]`)}, []string{
			"InHeader " + method + "RenderPage", "Begin", fmt.Sprintf("InPayload %T", &pb.RenderPageRequest{}),
			"OutHeader x-request-id", "OutTrailer ", "End InvalidArgument",
		}},
		{"unknown caller", call{method: "RenderPage", keys: []string{"dmk_other"}}, []string{
			// There is no InPayload because the message isn't decoded.
			"InHeader " + method + "RenderPage", "Begin",
			"OutHeader x-request-id", "OutTrailer ", "End Unauthenticated",
		}},
		{"empty message", call{method: "ListConfigurations"}, []string{
			"InHeader /deskmint.v1.ConfigurationService/ListConfigurations", "Begin",
			fmt.Sprintf("InPayload %T", &pb.ListConfigurationsRequest{}), "OutHeader x-request-id",
			fmt.Sprintf("OutPayload %T", &pb.ListConfigurationsResponse{}), "OutTrailer ", "End OK",
		}},
	}
	calls := newStatsRecorder()
	s := start(t, settings{configuration: configuration, stats: calls})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				tr.send(t.Context(), t, s, c.call)
				<-calls.begun
				<-calls.ended
				var got []string
				for _, e := range calls.take() {
					got = append(got, summary(t, e))
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("the events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			})
		})
	}
	t.Run("a body that can't be decoded", func(t *testing.T) {
		s.sendRaw(t, rawPost(mintPath, asEverything+asJSON, "{"))
		<-calls.begun
		<-calls.ended
		var got []string
		for _, e := range calls.take() {
			got = append(got, summary(t, e))
		}
		want := []string{
			"InHeader " + method + "MintToken", "Begin", "OutHeader x-request-id", "OutTrailer ", "End InvalidArgument",
		}
		if !slices.Equal(got, want) {
			t.Errorf("the events are %q, want %q", got, want)
		}
	})
	t.Run("a path without a method", func(t *testing.T) {
		s.sendRaw(t, rawRequest("GET", "/", asEverything))
		<-calls.begun
		<-calls.ended
		var got []string
		for _, e := range calls.take() {
			got = append(got, fmt.Sprintf("%T", e))
		}
		want := []string{"*stats.InHeader", "*stats.Begin", "*stats.OutHeader", "*stats.OutTrailer", "*stats.End"}
		if !slices.Equal(got, want) {
			t.Errorf("the events are %q, want %q", got, want)
		}
	})
}
