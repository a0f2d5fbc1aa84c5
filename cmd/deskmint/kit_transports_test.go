package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// answer is what came back from either transport.
type answer struct {
	status int // of HTTP; 0 over gRPC
	reason string
	header http.Header
	body   string
	token  string
	form   form
	signed uint32 // the secret's version
}

// form is what a front end is to post.
type form struct {
	Action string
	Fields map[string]string
}

// post asks the REST gateway.
func (d *deskmint) post(t *testing.T, key, path, body string) answer {
	t.Helper()
	return send(t, http.DefaultClient, "http://"+d.http+path, key, body)
}

func send(t *testing.T, client *http.Client, url, key, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response)
}

func readAnswer(t *testing.T, response *http.Response) answer {
	t.Helper()
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(b)}
	var said struct {
		Token         string
		SecretVersion uint32
		Form          form
		Details       []struct{ Reason string }
	}
	if json.Unmarshal(b, &said) == nil {
		a.token, a.signed, a.form = said.Token, said.SecretVersion, said.Form
		for _, detail := range said.Details {
			a.reason += detail.Reason
		}
	}
	return a
}

// dial connects to the gRPC server.
func (d *deskmint) dial(t *testing.T, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(d.grpc, append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// as adds a caller's key to what a call sends.
func as(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

// ana is a request to sign a customer in, and the same as JSON.
func ana(configuration string) *pb.MintTokenRequest {
	return &pb.MintTokenRequest{
		Configuration: "configurations/" + configuration,
		User:          &pb.User{Email: "ana@customer.example", EmailVerified: true, Name: "Ana"},
	}
}

const anaJSON = `{"user":{"email":"ana@customer.example","emailVerified":true,"name":"Ana"}}`

// mint asks both transports for a token of the same person, and holds them to the same answer.
func (d *deskmint) mint(t *testing.T, key, configuration string) answer {
	t.Helper()
	overHTTP := d.post(t, key, "/v1/configurations/"+configuration+":mintToken", anaJSON)
	r, err := pb.NewTokenServiceClient(d.dial(t)).MintToken(as(t.Context(), key), ana(configuration))
	overGRPC := answer{reason: reasonOf(err), token: r.GetToken(), signed: r.GetSecretVersion()}
	if err != nil && overGRPC.reason == "" {
		t.Fatal(err)
	}
	if overGRPC.reason != overHTTP.reason || overGRPC.signed != overHTTP.signed || (overGRPC.token == "") != (overHTTP.token == "") {
		t.Errorf("gRPC answers %q, version %d; REST %q, version %d", overGRPC.reason, overGRPC.signed, overHTTP.reason, overHTTP.signed)
	}
	return overHTTP
}

func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// claims verifies a token with the standard library alone, and returns what it says.
func claims(t *testing.T, token, secret string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) != parts[2] || parts[0] != tokenStart {
		t.Errorf("the token isn't signed with %s", secret)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]any{}
	if err := json.Unmarshal(payload, &said); err != nil {
		t.Fatal(err)
	}
	return said
}

// toSandbox is a client that finds every host under .localhost on this machine, as a browser does.
func toSandbox(address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
}
