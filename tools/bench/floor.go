package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// The floor accepts the same messages and headers as Deskmint, signs one token with the standard
// library, and responds. It checks no credential, no grant and no rule, and it writes no record and
// counts nothing. It is unsafe to use. It measures the cost of the libraries alone.

const floorSecret = "floor-secret-floor-secret-floor-secret-floor-secret"

// floorClaims is a struct, as in a well-written handler.
type floorClaims struct {
	IssuedAt   int64    `json:"iat"`
	ID         string   `json:"jti"`
	Email      string   `json:"email"`
	Name       string   `json:"name"`
	ExternalID string   `json:"external_id,omitempty"`
	Tags       []string `json:"tags,omitempty"`
}

func sign(c floorClaims) (token string, err error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	input := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte(floorSecret))
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

const floorAction = "https://acme.zendesk.com/access/jwt"

type floorGRPC struct {
	pb.UnimplementedTokenServiceServer
}

// MintToken returns a response of the right form, without any of the checks.
func (floorGRPC) MintToken(_ context.Context, r *pb.MintTokenRequest) (*pb.MintTokenResponse, error) {
	u, now := r.GetUser(), time.Now()
	id := rand.Text()
	token, err := sign(floorClaims{
		now.Unix(), id, u.GetEmail(), u.GetName(), u.GetExternalId(), u.GetTags().GetValues(),
	})
	if err != nil {
		return nil, err
	}
	return &pb.MintTokenResponse{
		Token: token, Jti: id, SecretVersion: 1,
		IssueTime: timestamppb.New(now), ExpireTime: timestamppb.New(now.Add(3 * time.Minute)),
		Form: &pb.SignInForm{
			Action: floorAction, Fields: map[string]string{"jwt": token, "return_to": r.GetReturnTo()},
			FormActionSources: []string{"https://acme.zendesk.com"},
		},
	}, nil
}

type floorRequest struct {
	User struct {
		Email         string `json:"email"`
		EmailVerified bool   `json:"emailVerified"`
		Name          string `json:"name"`
		ExternalID    string `json:"externalId"`
		Tags          struct {
			Values []string `json:"values"`
		} `json:"tags"`
	} `json:"user"`
	ReturnTo string `json:"returnTo"`
}

type floorForm struct {
	Action            string            `json:"action"`
	Fields            map[string]string `json:"fields"`
	FormActionSources []string          `json:"formActionSources"`
}

type floorResponse struct {
	Token         string    `json:"token"`
	ID            string    `json:"jti"`
	IssueTime     time.Time `json:"issueTime"`
	ExpireTime    time.Time `json:"expireTime"`
	SecretVersion int       `json:"secretVersion"`
	Form          floorForm `json:"form"`
}

func floorHTTP(w http.ResponseWriter, r *http.Request) {
	var in floorRequest
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now, id := time.Now(), rand.Text()
	token, err := sign(floorClaims{
		now.Unix(), id, in.User.Email, in.User.Name, in.User.ExternalID, in.User.Tags.Values,
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	out, err := json.Marshal(floorResponse{
		token, id, now.UTC(), now.Add(3 * time.Minute).UTC(), 1,
		floorForm{
			floorAction,
			map[string]string{"jwt": token, "return_to": in.ReturnTo},
			[]string{"https://acme.zendesk.com"},
		},
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}

// runFloor serves gRPC and HTTP until ctx ends. It also serves gRPC through an unchanged
// grpc-gateway, to measure REST with the libraries that Deskmint uses. With CERTIFICATE and KEY in
// the environment it uses TLS, and with CLIENT_CA it requests client certificates.
func runFloor(ctx context.Context, out io.Writer) error {
	config, err := floorTLS()
	if err != nil {
		return err
	}
	var grpcOptions []grpc.ServerOption
	listen := func() (net.Listener, error) { return new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0") }
	grpcListener, err := listen()
	if err != nil {
		return err
	}
	httpListener, err := listen()
	if err != nil {
		return err
	}
	gatewayListener, err := listen()
	if err != nil {
		return err
	}
	gateway := runtime.NewServeMux()
	if err := pb.RegisterTokenServiceHandlerServer(ctx, gateway, floorGRPC{}); err != nil {
		return err
	}
	fmt.Fprintf(out, "grpc=%s\nhttp=%s\ngateway=%s\nready\n", grpcListener.Addr(), httpListener.Addr(),
		gatewayListener.Addr())
	if config != nil {
		grpcOptions = append(grpcOptions, grpc.Creds(credentials.NewTLS(config)))
		httpListener = tls.NewListener(httpListener, config)
	}
	server := grpc.NewServer(grpcOptions...)
	pb.RegisterTokenServiceServer(server, floorGRPC{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/configurations/{name}", floorHTTP)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	through := &http.Server{Handler: gateway, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Stop(); _ = web.Close(); _ = through.Close() })
	go func() { _ = web.Serve(httpListener) }()
	go func() { _ = through.Serve(gatewayListener) }()
	return server.Serve(grpcListener)
}

func floorTLS() (*tls.Config, error) {
	if os.Getenv("CERTIFICATE") == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(os.Getenv("CERTIFICATE"), os.Getenv("KEY"))
	if err != nil {
		return nil, err
	}
	pool, err := poolOf(os.Getenv("CLIENT_CA"))
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
		ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, NextProtos: []string{"h2", "http/1.1"},
	}, nil
}
