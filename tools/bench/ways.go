package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// person is one of ten thousand who sign in.
func person() (email, name string) {
	n := rand.IntN(10000)
	return fmt.Sprintf("ana-%d@customer.example", n), fmt.Sprintf("Ana Customer %d", n)
}

// caller asks one server as one caller.
type caller struct {
	server        *process
	configuration string
	authorization string // "": none
	listener      string // of the server's, for REST; "": http
	tls           *tls.Config
}

func (c caller) as(ctx context.Context) context.Context {
	if c.authorization == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", c.authorization)
}

func (k *keys) tls(certificate bool) *tls.Config {
	config := &tls.Config{RootCAs: k.ca, MinVersion: tls.VersionTLS13}
	if certificate {
		config.Certificates = []tls.Certificate{k.client}
	}
	return config
}

func (c caller) stubs() ([]pb.TokenServiceClient, error) {
	transport := insecure.NewCredentials()
	if c.tls != nil {
		transport = credentials.NewTLS(c.tls)
	}
	stubs := make([]pb.TokenServiceClient, connections)
	for i := range stubs {
		conn, err := grpc.NewClient(c.server.output["grpc"], grpc.WithTransportCredentials(transport))
		if err != nil {
			return nil, err
		}
		stubs[i] = pb.NewTokenServiceClient(conn)
	}
	return stubs, nil
}

func user() *pb.User {
	email, name := person()
	return &pb.User{Email: email, EmailVerified: true, Name: name, ExternalId: "shop-9", Tags: &pb.Tags{Values: []string{"vip"}}}
}

// mintGRPC is MintToken over gRPC.
func (c caller) mintGRPC() (ask, error) {
	stubs, err := c.stubs()
	return func(ctx context.Context, connection int) error {
		out, err := stubs[connection].MintToken(c.as(ctx), &pb.MintTokenRequest{Configuration: c.configuration, User: user(), ReturnTo: "/hc/en-us"})
		if err == nil && out.GetToken() == "" {
			err = fmt.Errorf("no token")
		}
		return err
	}, err
}

// formGRPC is RenderForm over gRPC.
func (c caller) formGRPC() (ask, error) {
	stubs, err := c.stubs()
	return func(ctx context.Context, connection int) error {
		out, err := stubs[connection].RenderForm(c.as(ctx), &pb.RenderFormRequest{Configuration: c.configuration, User: user(), ReturnTo: "/hc/en-us"})
		if err == nil && out.GetHtml() == "" {
			err = fmt.Errorf("no page")
		}
		return err
	}, err
}

// pageGRPC is RenderPage over gRPC.
func (c caller) pageGRPC() (ask, error) {
	stubs, err := c.stubs()
	return func(ctx context.Context, connection int) error {
		out, err := stubs[connection].RenderPage(c.as(ctx), &pb.RenderPageRequest{Configuration: c.configuration, User: user(), ReturnTo: "/hc/en-us"})
		if err == nil && len(out.GetData()) == 0 {
			err = fmt.Errorf("no page")
		}
		return err
	}, err
}

// rest is a method over HTTP/1.1; the answer must hold a text.
func (c caller) rest(method, holds string) (ask, error) {
	scheme := "http"
	if c.tls != nil {
		scheme = "https"
	}
	address := scheme + "://" + c.server.output[cmp.Or(c.listener, "http")] + "/v1/" + c.configuration + ":" + method
	return c.post(address, holds, func() string {
		email, name := person()
		return fmt.Sprintf(`{"user":{"email":%q,"emailVerified":true,"name":%q,"externalId":"shop-9","tags":{"values":["vip"]}},"returnTo":"/hc/en-us"}`, email, name)
	}), nil
}

func (c caller) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c.tls, MaxIdleConnsPerHost: 1024, MaxConnsPerHost: 1024}}
}

func (c caller) post(address, holds string, body func() string) ask {
	client := c.client()
	return func(ctx context.Context, _ int) error {
		return c.send(ctx, client, address, body(), holds, "Authorization", c.authorization)
	}
}

// send posts JSON with one header more, if that isn't empty.
func (caller) send(ctx context.Context, client *http.Client, address, body, holds, header, value string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if value != "" {
		r.Header.Set(header, value)
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && (answer.StatusCode != http.StatusOK || !bytes.Contains(content, []byte(holds))) {
		err = fmt.Errorf("%s: %s", answer.Status, content)
	}
	return err
}
