package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// person returns one of ten thousand people.
func person() (email, name string) {
	n := rand.IntN(10000)
	return fmt.Sprintf("ana-%d@customer.example", n), fmt.Sprintf("Ana Customer %d", n)
}

// caller sends requests to one server, as one caller.
type caller struct {
	server        *process
	configuration string
	authorization string // "" for none
	listener      string // the server's listener for REST; "" for http
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

func user() *pb.User {
	email, name := person()
	return &pb.User{
		Email: email, EmailVerified: true, Name: name, ExternalId: "shop-9", Tags: &pb.Tags{Values: []string{"vip"}},
	}
}

// requestKind is one kind of request. It is sent through the libraries that callers use, and with
// minimal effort by a wire.
type requestKind struct {
	call
	wire
}

// grpcKind returns a gRPC method. got returns the size of the part that the response must have.
func grpcKind[Answer any](
	c caller, method string, request func(*pb.User) proto.Message, got func(*Answer) int,
) (requestKind, error) {
	transport := insecure.NewCredentials()
	if c.tls != nil {
		transport = credentials.NewTLS(c.tls)
	}
	conns := make([]*grpc.ClientConn, connections)
	for i := range conns {
		conn, err := grpc.NewClient(c.server.output["grpc"], grpc.WithTransportCredentials(transport))
		if err != nil {
			return requestKind{}, err
		}
		conns[i] = conn
	}
	fields := [][2]string{{"content-type", "application/grpc"}, {"te", "trailers"}}
	if c.authorization != "" {
		fields = append(fields, [2]string{"authorization", c.authorization})
	}
	return requestKind{
		func(ctx context.Context, connection int) error {
			out := new(Answer)
			err := conns[connection].Invoke(c.as(ctx), method, request(user()), out)
			if err == nil && got(out) == 0 {
				err = fmt.Errorf("an empty response")
			}
			return err
		},
		wire{c.server.output["grpc"], c.tls, true, method, fields, func() []byte { return framed(request(user())) }},
	}, nil
}

// framed returns a message as gRPC sends it, uncompressed and after its length.
func framed(m proto.Message) []byte {
	out, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 5, 256), m)
	if err != nil {
		panic(err) // no message of the benchmark can fail
	}
	binary.BigEndian.PutUint32(out[1:5], uint32(len(out)-5))
	return out
}

func (c caller) mintGRPC() (requestKind, error) {
	return grpcKind(c, pb.TokenService_MintToken_FullMethodName, func(u *pb.User) proto.Message {
		return &pb.MintTokenRequest{Configuration: c.configuration, User: u, ReturnTo: "/hc/en-us"}
	}, func(out *pb.MintTokenResponse) int { return len(out.GetToken()) })
}

func (c caller) formGRPC() (requestKind, error) {
	return grpcKind(c, pb.TokenService_RenderForm_FullMethodName, func(u *pb.User) proto.Message {
		return &pb.RenderFormRequest{Configuration: c.configuration, User: u, ReturnTo: "/hc/en-us"}
	}, func(out *pb.RenderFormResponse) int { return len(out.GetHtml()) })
}

func (c caller) pageGRPC() (requestKind, error) {
	return grpcKind(c, pb.TokenService_RenderPage_FullMethodName, func(u *pb.User) proto.Message {
		return &pb.RenderPageRequest{Configuration: c.configuration, User: u, ReturnTo: "/hc/en-us"}
	}, func(out *httpbody.HttpBody) int { return len(out.GetData()) })
}

// rest returns a method over HTTP/1.1. The response must contain a text.
func (c caller) rest(method, holds string) (requestKind, error) {
	return c.post("/v1/"+c.configuration+":"+method, holds, func() string {
		email, name := person()
		return fmt.Sprintf(`{"user":{"email":%q,"emailVerified":true,"name":%q,"externalId":"shop-9",`+
			`"tags":{"values":["vip"]}},"returnTo":"/hc/en-us"}`, email, name)
	}, "authorization", c.authorization), nil
}

// post returns a request that posts JSON to a path over HTTP/1.1. It has another header if value
// isn't empty.
func (c caller) post(path, holds string, body func() string, header, value string) requestKind {
	scheme, address := "http", c.server.output[cmp.Or(c.listener, "http")]
	if c.tls != nil {
		scheme = "https"
	}
	fields := [][2]string{{"content-type", "application/json"}}
	if value != "" {
		fields = append(fields, [2]string{header, value})
	}
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: c.tls, MaxIdleConnsPerHost: 1024, MaxConnsPerHost: 1024},
	}
	return requestKind{
		func(ctx context.Context, _ int) error {
			return send(ctx, client, scheme+"://"+address+path, body(), fields, holds)
		},
		wire{address, c.tls, false, path, fields, func() []byte { return []byte(body()) }},
	}
}

func send(ctx context.Context, client *http.Client, address, body string, fields [][2]string, holds string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	for _, f := range fields {
		r.Header.Set(f[0], f[1])
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
