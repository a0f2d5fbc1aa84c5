package service

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// BenchmarkMint measures one whole sign-in through each transport. It also reports each time as a
// multiple of the first. These ratios are valid on other machines, too, unlike the times.
func BenchmarkMint(b *testing.B) {
	const body = `{"user":{"email":"ana@customer.example","emailVerified":true,"name":"Ana","externalId":"shop-9",` +
		`"tags":{"values":["vip"]}},"returnTo":"/hc"}`
	user := &pb.User{
		Email:         "ana@customer.example",
		EmailVerified: true,
		Name:          "Ana",
		ExternalId:    "shop-9",
		Tags:          &pb.Tags{Values: []string{"vip"}},
	}
	in := &pb.MintTokenRequest{Configuration: "configurations/acme-customers", User: user, ReturnTo: "/hc"}

	s := newTestService(b, io.Discard, nil)
	gateway := newJSONGateway(b)
	_, conn, err := s.InProcess()
	if err != nil {
		b.Fatal(err)
	}
	grpcListener, httpListener := loopback(b), loopback(b)
	ctx, cancel := context.WithCancel(b.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Serve(ctx, Listeners{GRPC: grpcListener, HTTP: httpListener}) }()
	wire, err := grpc.NewClient(grpcListener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = wire.Close()
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-stopped; err != nil {
			b.Error(err)
		}
	})

	invoke := func(conn grpc.ClientConnInterface) error {
		ctx := metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer dmk_everything")
		return conn.Invoke(ctx, pb.TokenService_MintToken_FullMethodName, in, &pb.MintTokenResponse{})
	}
	url := "http://" + httpListener.Addr().String() + "/v1/configurations/acme-customers:"
	first := 0.0
	for _, way := range []struct {
		name string
		mint func() error
	}{
		{"handler", func() error { return invoke(conn) }},
		{"json", func() error {
			if w := gateway.post([]byte(body)); w.Code != http.StatusOK {
				return errors.New(w.Body.String())
			}
			gateway.log.take()
			return nil
		}},
		{"grpc", func() error { return invoke(wire) }},
		{"rest", func() error { return postJSON(ctx, url+"mintToken", body) }},
		{"rest, a page", func() error { return postJSON(ctx, url+"renderPage", body) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := way.mint(); err != nil {
					b.Fatal(err)
				}
			}
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			if first == 0 {
				first = each
			}
			b.ReportMetric(each/first, "×handler")
		})
	}
}

func loopback(b testing.TB) net.Listener {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func postJSON(ctx context.Context, url, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer dmk_everything")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(string(answer))
	}
	return err
}
