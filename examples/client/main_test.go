package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/secrets/vault/toxic"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// serve starts a service on loopback, and returns the key of its caller.
func serve(t *testing.T) (address, key string) {
	t.Helper()
	key, hash := caller.NewKey()
	text, err := os.ReadFile("../quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile(`api_key_sha256: \w+`)
	snapshot, err := config.Parse("quickstart.yaml", example.ReplaceAll(text, []byte("api_key_sha256: "+hash)),
		config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &memory.Store{}
	store.Put("sso/acme-customers", "shared_secret", []byte("an-example-that-no-zendesk-account-will-take"))
	ready := make(chan struct{})
	s, err := service.New(service.Options{
		Snapshot: snapshot, Secrets: secrets.NewKeyring(secrets.Options{Source: store}),
		Audit: audit.New(&bytes.Buffer{}, snapshot.Audit, nil), Ready: func() { close(ready) },
	})
	if err != nil {
		t.Fatal(err)
	}
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := service.Listeners{GRPC: listen(), HTTP: listen()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("Serve: %v", err)
	}
	return l.GRPC.Addr().String(), key
}

func TestClient(t *testing.T) {
	address, key := serve(t)
	for name, c := range map[string]struct {
		key, want, err string
		args           []string
	}{
		"a token": {key: key, want: "post to https://acme.zendesk.com/access/jwt within "},
		"by name": {
			key:  key,
			args: []string{"-address", "dns:///localhost:" + address[strings.LastIndex(address, ":")+1:]},
			want: "post to ",
		},
		"a wrong key": {key: "dmk_wrong", err: "(CALLER_UNAUTHENTICATED)"},
		"no grant":    {key: key, args: []string{"-configuration", "acme-staff"}, err: "(CALLER_NOT_ALLOWED)"},
		"no server":   {key: key, args: []string{"-address", "127.0.0.1:1"}, err: "Unavailable"},
		"no authority": {
			key:  key,
			args: []string{"-plaintext=false", "-ca", "main.go"},
			err:  "has no certificate",
		},
		"an unknown flag": {key: key, args: []string{"-adress", address}, err: "-adress"},
		"no -plaintext":   {key: key, args: []string{"-plaintext=false"}, err: "Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), append([]string{"-plaintext", "-address", address}, c.args...), c.key, &out)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
			if !strings.HasPrefix(out.String(), c.want) {
				t.Errorf("printed %q, want %q", &out, c.want)
			}
		})
	}
}

// TestHangingReplica checks that at most 3 % of a client's sign-ins fail if one of two replicas
// accepts calls and doesn't answer. A stopped process and a machine that hangs behave like that.
func TestHangingReplica(t *testing.T) {
	one, key := serve(t)
	hanging, target := twoReplicas(t, one)
	conn, err := connect(target.Scheme()+":///deskmint", insecure.NewCredentials(), grpc.WithResolvers(target))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+key)
	var people atomic.Int32
	mint := func() error {
		email := fmt.Sprintf("person-%d@customer.example", people.Add(1)) // each has a rate limit
		_, err := pb.NewTokenServiceClient(conn).MintToken(ctx, &pb.MintTokenRequest{
			Configuration: "configurations/acme-customers",
			User:          &pb.User{Email: email, EmailVerified: true, Name: "Ana"},
		})
		return err
	}
	for range 20 { // both replicas are connected, and answer
		if err := mint(); err != nil {
			t.Fatal(err)
		}
	}
	hanging.Set(t, toxic.Silent)
	const each = 15
	var failed atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range each {
				if err := mint(); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 8*each*3/100 {
		t.Errorf("%d of %d sign-ins failed", n, 8*each)
	}
}

// twoReplicas returns a resolver for a service and for the same one behind a proxy, which a fault
// can be set for. A client can't distinguish them from two replicas.
func twoReplicas(t *testing.T, address string) (*toxic.Proxy, *manual.Resolver) {
	t.Helper()
	proxy := toxic.New(t, address)
	target := manual.NewBuilderWithScheme("replicas")
	target.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: address}, {Addr: proxy.Address}}})
	return proxy, target
}

// TestServiceConfigMethods checks that each method has a deadline, and that the methods that must
// not be retried aren't.
func TestServiceConfigMethods(t *testing.T) {
	conn, err := connect("passthrough:///127.0.0.1:1", insecure.NewCredentials())
	if err != nil {
		t.Fatal(err) // grpc-go refuses a service config that it can't read
	}
	defer conn.Close()
	var parsed struct {
		MethodConfig []struct {
			Name        []struct{ Service, Method string }
			Timeout     string
			RetryPolicy *struct{ RetryableStatusCodes []string }
		}
	}
	if err := json.Unmarshal([]byte(serviceConfig), &parsed); err != nil {
		t.Fatal(err)
	}
	deadlines, retried := map[string]bool{}, map[string]bool{}
	for _, m := range parsed.MethodConfig {
		for _, name := range m.Name {
			deadlines[name.Service+"/"+name.Method] = m.Timeout != ""
			retried[name.Service+"/"+name.Method] = m.RetryPolicy != nil
			if m.RetryPolicy != nil && !reflect.DeepEqual(m.RetryPolicy.RetryableStatusCodes, []string{"UNAVAILABLE"}) {
				t.Errorf("%v is retried after %v", name, m.RetryPolicy.RetryableStatusCodes)
			}
		}
	}
	for _, service := range []string{
		pb.TokenService_ServiceDesc.ServiceName, pb.ConfigurationService_ServiceDesc.ServiceName,
	} {
		if !deadlines[service+"/"] || !retried[service+"/"] {
			t.Errorf("%s has no deadline, or is never retried", service)
		}
	}
	report := strings.TrimPrefix(pb.ConfigurationService_ReportSignInFailure_FullMethodName, "/")
	if again, ok := retried[report]; !ok || again {
		t.Errorf("%s counts its calls, and may be retried", report)
	}
}

// TestDocumented checks that the service config in docs/clients.md is the one that is tested here.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/clients.md has no service config")
	}
	var documented, ours any
	if err := json.Unmarshal(block[1], &documented); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(serviceConfig), &ours); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(documented, ours) {
		t.Errorf("docs/clients.md has\n%s\nand examples/client/service_config.json\n%s", block[1], serviceConfig)
	}
}
