package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/loopback"
)

// clientFlags are the flags for the connection to a running service.
type clientFlags struct {
	Address    string `default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"The service's gRPC address."`
	CA         string `placeholder:"FILE" help:"Trusted authorities (PEM). Default: system; plaintext on loopback."`
	APIKeyFile string `placeholder:"FILE" help:"File with the API key or bearer token. Default: DESKMINT_API_KEY."`
	Cert       string `placeholder:"FILE" help:"The caller's certificate and its chain (PEM), instead of a key."`
	Key        string `placeholder:"FILE" help:"The certificate's private key (PEM)."`

	Timeout time.Duration `default:"10s" help:"How long to wait for the response."`
}

// call connects to the service and calls rpc with the credential of the caller and a deadline.
func (f clientFlags) call(ctx context.Context, rpc func(context.Context, pb.TokenServiceClient) error) error {
	if f.Cert == "" {
		key, err := f.apiKey()
		if err != nil {
			return err
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	return f.connect(ctx, true, rpc)
}

// connect connects to the service and calls rpc with a deadline. ctx has the API key, if there is
// one. If withCertificate is false, the client presents no certificate.
func (f clientFlags) connect(
	ctx context.Context, withCertificate bool, rpc func(context.Context, pb.TokenServiceClient) error,
) error {
	transport, err := f.transport(withCertificate)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(f.Address, grpc.WithTransportCredentials(transport))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Address, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	return describe(rpc(ctx, pb.NewTokenServiceClient(conn)))
}

func (f clientFlags) apiKey() (string, error) {
	key, source := os.Getenv("DESKMINT_API_KEY"), "DESKMINT_API_KEY"
	if f.APIKeyFile != "" {
		b, err := os.ReadFile(f.APIKeyFile)
		if err != nil {
			return "", fmt.Errorf("--api-key-file: %w", err)
		}
		key, source = string(b), f.APIKeyFile
	}
	key = strings.TrimSpace(key)
	if key == "" {
		return "", errors.New("no credential: set DESKMINT_API_KEY, or give --api-key-file, or --cert and --key")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s must have an API key only: it has white space or other characters that no key "+
			"has", source)
	}
	return key, nil
}

// transport returns plaintext credentials only for loopback, so that a key never leaves this
// machine unencrypted.
func (f clientFlags) transport(withCertificate bool) (credentials.TransportCredentials, error) {
	host, _, err := net.SplitHostPort(f.Address)
	if err != nil {
		return nil, fmt.Errorf("--address: %w", err)
	}
	if f.CA == "" && f.Cert == "" && loopback.Host(host) {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if withCertificate && (f.Cert != "" || f.Key != "") {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("--cert and --key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca: %s holds no certificate", f.CA)
		}
	}
	return credentials.NewTLS(config), nil
}

// describe returns an error whose text includes the details of a gRPC status.
func describe(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", st.Code(), st.Message())
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			fmt.Fprintf(&b, " (%s)", d.GetReason())
			if credential := d.GetMetadata()["credential"]; credential != "" {
				fmt.Fprintf(&b, "\n  the credential is %s", credential)
			}
			if limit := d.GetMetadata()["limit"]; limit != "" {
				fmt.Fprintf(&b, "\n  the limit is %s", limit)
			}
		case *errdetails.RetryInfo:
			fmt.Fprintf(&b, "\n  try again in %v", d.GetRetryDelay().AsDuration().Round(time.Millisecond))
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				fmt.Fprintf(&b, "\n  %s %s", v.GetField(), v.GetDescription())
			}
		}
	}
	if st.Code() == codes.Unavailable && len(st.Details()) == 0 {
		b.WriteString("\n  is the service running, and is --address its gRPC server, as HOST:PORT?")
	}
	return errors.New(b.String())
}

// userFlags are the flags for a sign-in.
type userFlags struct {
	Configuration string `required:"" placeholder:"NAME" help:"The configuration to sign for."`
	Brand         string `placeholder:"ID" help:"Zendesk's brand_id. Default: the configuration's default brand."`
	Email         string `placeholder:"ADDRESS" help:"The person's address, sent as verified."`
	Name          string `help:"The person's name."`
	Role          string `placeholder:"ROLE" enum:",end_user,agent,admin" default:"" help:"end_user, agent or admin."`
	ReturnTo      string `placeholder:"URL" help:"Where Zendesk sends the person afterwards."`
	Request       string `placeholder:"FILE" help:"The request as JSON, - for standard input; flags override it."`
	ValidateOnly  bool   `help:"Run every check and sign nothing."`
}

// request returns the request that the flags describe. Every kind of sign-in has these fields.
func (f userFlags) request(std streams) (*pb.MintTokenRequest, error) {
	r := &pb.MintTokenRequest{}
	if f.Request != "" {
		b, err := read(f.Request, std)
		if err != nil {
			return nil, fmt.Errorf("--request: %w", err)
		}
		if err := protojson.Unmarshal(b, r); err != nil {
			return nil, fmt.Errorf("--request %s: %w", f.Request, err)
		}
	}
	r.Configuration = "configurations/" + strings.TrimPrefix(f.Configuration, "configurations/")
	if r.User == nil {
		r.User = &pb.User{}
	}
	set(&r.BrandId, f.Brand)
	set(&r.ReturnTo, f.ReturnTo)
	set(&r.User.Name, f.Name)
	if f.Email != "" {
		r.User.Email, r.User.EmailVerified = f.Email, true
	}
	if f.Role != "" {
		r.User.Role = pb.Role(pb.Role_value["ROLE_"+strings.ToUpper(f.Role)])
	}
	r.ValidateOnly = r.ValidateOnly || f.ValidateOnly
	return r, nil
}

// set sets a field to the value of a flag, if the flag has one.
func set(field *string, flag string) {
	if flag != "" {
		*field = flag
	}
}

// read reads a file, or standard input if the name is "-".
func read(name string, std streams) ([]byte, error) {
	const limit = 1 << 20
	if name == "-" {
		return io.ReadAll(io.LimitReader(std.in, limit))
	}
	return os.ReadFile(name)
}

func printJSON(std streams, m proto.Message) error {
	b, err := protojson.MarshalOptions{Multiline: true}.Marshal(m)
	if err == nil {
		_, err = fmt.Fprintf(std.out, "%s\n", bytes.TrimSpace(b))
	}
	return err
}
