// Command client mints one sign-in token. It is an example of a backend's client of Deskmint in Go.
// The client balances over all replicas, and its calls succeed when a replica ends. docs/clients.md
// explains the settings, and has them for other languages.
//
//	DESKMINT_API_KEY=dmk_dev go run ./examples/client -plaintext -address 127.0.0.1:9090
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // healthCheckConfig does nothing without it
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// serviceConfig configures load balancing, retries and deadlines.
//
//go:embed service_config.json
var serviceConfig string

func main() {
	if err := run(context.Background(), os.Args[1:], os.Getenv("DESKMINT_API_KEY"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, key string, out io.Writer) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	address := flags.String("address", "dns:///deskmint-headless.support.svc:9090",
		"the service; calls are balanced over all addresses of a dns:/// name")
	ca := flags.String("ca", "",
		"file with the authorities to trust; default: the system's")
	plaintext := flags.Bool("plaintext", false, "without TLS, as for deskmint dev, or with a mesh")
	configuration := flags.String("configuration", "acme-customers", "the configuration to mint for")
	email := flags.String("email", "ana@customer.example", "the person's address")
	name := flags.String("name", "Ana Customer", "the person's name")
	if err := flags.Parse(args); err != nil {
		return err
	}
	transport, err := transport(*plaintext, *ca)
	if err != nil {
		return err
	}
	// Use one connection for the whole process. It is safe for concurrent use, and has one HTTP/2
	// connection to each replica.
	conn, err := connect(*address, transport)
	if err != nil {
		return err
	}
	defer conn.Close()

	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	response, err := pb.NewTokenServiceClient(conn).MintToken(ctx, &pb.MintTokenRequest{
		Configuration: "configurations/" + *configuration,
		User:          &pb.User{Email: *email, EmailVerified: true, Name: *name},
	})
	if err != nil {
		return withReason(err)
	}
	_, err = fmt.Fprintf(out, "post to %s within %v: version %d, jti %s\n",
		response.GetForm().GetAction(), time.Until(response.GetExpireTime().AsTime()).Round(time.Second),
		response.GetSecretVersion(), response.GetJti())
	return err
}

// connect returns a connection that survives the end of replicas. It doesn't wait for a replica.
// The first call does.
func connect(
	target string, transport credentials.TransportCredentials, options ...grpc.DialOption,
) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, append(options,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithUnaryInterceptor(tryNextReplica),
		// A replica on a failed machine doesn't close its connection. Deskmint allows one ping in 5
		// s.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:                10 * time.Second,
			Timeout:             3 * time.Second,
			PermitWithoutStream: true,
		}),
	)...)
}

// The time limits of a sign-in. An answer comes from memory, so a replica that takes longer than an
// attempt has a fault.
const (
	attemptTimeout = 500 * time.Millisecond
	callTimeout    = 5 * time.Second
)

// tryNextReplica is an interceptor that gives up an attempt after 500 ms, and tries the next
// replica. A service config can't do this: its timeout is that of all attempts together. A replica
// that hangs accepts calls and never answers, until keepalive ends its connection. An attempt that
// was given up may still mint a token, which nothing uses.
func tryNextReplica(
	ctx context.Context, method string, request, response any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker,
	options ...grpc.CallOption,
) error {
	if !strings.HasPrefix(method, "/"+pb.TokenService_ServiceDesc.ServiceName+"/") {
		return invoke(ctx, method, request, response, conn, options...)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for range 3 {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		err := invoke(attempt, method, request, response, conn, options...)
		cancel()
		if status.Code(err) != codes.DeadlineExceeded || ctx.Err() != nil {
			return err
		}
	}
	return invoke(ctx, method, request, response, conn, options...)
}

func transport(plaintext bool, ca string) (credentials.TransportCredentials, error) {
	if plaintext {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New(ca + " has no certificate")
		}
	}
	return credentials.NewTLS(config), nil
}

// withReason adds the reason to an error. Programs should use the reason, because messages are for
// people.
func withReason(err error) error {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return fmt.Errorf("%w (%s)", err, info.GetReason())
		}
	}
	return err
}
