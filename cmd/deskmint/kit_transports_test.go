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

// answer is a response through either transport.
type answer struct {
	status int // of HTTP, or 0 over gRPC
	reason string
	header http.Header
	body   string
	token  string
	form   form
	signed uint32 // the secret's version
}

// form is the form that a front end must post.
type form struct {
	Action string
	Fields map[string]string
}

// post sends a request to the REST gateway.
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
	var parsed struct {
		Token         string
		SecretVersion uint32
		Form          form
		Details       []struct{ Reason string }
	}
	if json.Unmarshal(b, &parsed) == nil {
		a.token, a.signed, a.form = parsed.Token, parsed.SecretVersion, parsed.Form
		for _, detail := range parsed.Details {
			a.reason += detail.Reason
		}
	}
	return a
}

// dial connects to the gRPC server.
func (d *deskmint) dial(t *testing.T, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(d.grpc,
		append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// withKey adds a caller's key to the metadata of a call.
func withKey(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

// anaRequest returns a request to sign a customer in. anaJSON is the same as JSON.
func anaRequest(configuration string) *pb.MintTokenRequest {
	return &pb.MintTokenRequest{
		Configuration: "configurations/" + configuration,
		User:          &pb.User{Email: "ana@customer.example", EmailVerified: true, Name: "Ana"},
	}
}

const anaJSON = `{"user":{"email":"ana@customer.example","emailVerified":true,"name":"Ana"}}`

// mint requests a token for the same person through both transports, and checks that the responses
// agree.
func (d *deskmint) mint(t *testing.T, key, configuration string) answer {
	t.Helper()
	overHTTP := d.post(t, key, "/v1/configurations/"+configuration+":mintToken", anaJSON)
	r, err := pb.NewTokenServiceClient(d.dial(t)).MintToken(withKey(t.Context(), key), anaRequest(configuration))
	overGRPC := answer{reason: reasonOf(err), token: r.GetToken(), signed: r.GetSecretVersion()}
	if err != nil && overGRPC.reason == "" {
		t.Fatal(err)
	}
	if overGRPC.reason != overHTTP.reason || overGRPC.signed != overHTTP.signed ||
		(overGRPC.token == "") != (overHTTP.token == "") {
		t.Errorf("gRPC answers %q, version %d; REST %q, version %d", overGRPC.reason, overGRPC.signed, overHTTP.reason,
			overHTTP.signed)
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

// claims verifies a token with the standard library only, and returns its claims.
func claims(t *testing.T, token, secret string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
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
	parsed := map[string]any{}
	if err := json.Unmarshal(payload, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// toSandbox returns a client that resolves every host under .localhost to this machine, as a
// browser does.
func toSandbox(address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
}
