package service_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/config"
)

// The secrets of the tests contain a fixed word, so that a search of everything that a service
// writes finds them.
const (
	customersSecret = "MARKER-customers-secret-0123456789abcdef" // #nosec G101 -- only for tests
	staffSecret     = "MARKER-staff-secret-0123456789abcdefghij" // #nosec G101 -- only for tests
	nextSecret      = "MARKER-next-secret-0123456789abcdefghijk" // #nosec G101 -- only for tests
)

// waitTimeout is how long a test waits for an event before it fails. It is longer than any step of
// a test takes, and shorter than the timeouts of the service that must not be reached.
const waitTimeout = time.Minute

// now is the time of the clock of every test's service.
var now = time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.UTC)

// server is a service with both transports open on loopback.
type server struct {
	*service.Service

	GRPC  *grpc.ClientConn
	URL   string // of the REST gateway
	Ops   string
	Store *memory.Store
	Ring  *secrets.Keyring
	Log   *buffer // everything that was logged
	Trail *audit.Log
	Audit *buffer // every record
	seen  int     // how many bytes of Audit the function records has read

	client    *tls.Config // the configuration of clients; nil means plaintext
	listeners []*listener // gRPC, HTTP, ops
	stop      func() error
}

// settings are the options of a server. All but configuration are optional.
type settings struct {
	configuration string
	audit         io.Writer
	now           func() time.Time
	secrets       func(service.Secrets) service.Secrets // wraps the keyring
	fill          func(*memory.Store)                   // adds secrets before the start
	stats         stats.Handler
	drain, grace  time.Duration
	certificates  *certs.Store // of both transports; nil means plaintext
	// timeout limits how long the transports wait for a client that stalls. 0 means the default.
	timeout time.Duration
	// connectionAge is the age at which connections are closed. 0 means the default.
	connectionAge time.Duration
	// smallBuffers makes the transports write only as fast as the client reads.
	smallBuffers bool
}

// start returns a server that runs until the test ends.
func start(t *testing.T, s settings) *server {
	t.Helper()
	out := &server{Log: &buffer{}, Audit: &buffer{}, Store: newStore()}
	log := slog.New(slog.NewJSONHandler(out.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	snapshot := parse(t, s.configuration)
	if s.fill != nil {
		s.fill(out.Store)
	}
	if s.now == nil {
		s.now = func() time.Time { return now }
	}
	out.Ring = secrets.NewKeyring(secrets.Options{Source: out.Store, Log: log, Now: s.now, MaxRate: 1e6})
	ready := make(chan struct{})
	o := service.Options{
		Snapshot: snapshot, Secrets: out.Ring, Audit: audit.New(out.Audit, snapshot.Audit, nil),
		Log: log, Now: s.now, Stats: s.stats, Drain: s.drain, Grace: s.grace,
		Ready: func() { close(ready) },
	}
	if s.audit != nil {
		o.Audit = audit.New(io.MultiWriter(s.audit, out.Audit), snapshot.Audit, nil)
	}
	if s.secrets != nil {
		o.Secrets = s.secrets(out.Ring)
	}
	out.Trail = o.Audit
	var err error
	if out.Service, err = service.New(o); err != nil {
		t.Fatal(err)
	}
	if s.timeout != 0 {
		out.ShortenTimeouts(s.timeout)
	}
	if s.connectionAge != 0 {
		out.SetConnectionAge(s.connectionAge)
	}
	out.listeners = []*listener{newListener(t), newListener(t), newListener(t)}
	out.listeners[0].smallBuffers, out.listeners[1].smallBuffers = s.smallBuffers, s.smallBuffers
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() {
		stopped <- out.Serve(ctx, service.Listeners{
			GRPC: out.listeners[0], HTTP: out.listeners[1], Ops: out.listeners[2], TLS: s.certificates,
		})
	}()
	out.stop = sync.OnceValue(func() error { cancel(); return <-stopped })
	scheme := "http://"
	if s.certificates != nil {
		scheme = "https://"
	}
	out.URL, out.Ops = scheme+out.listeners[1].Addr().String(), "http://"+out.listeners[2].Addr().String()
	out.GRPC = dial(t, out.listeners[0].Addr().String())
	select {
	case <-ready:
	case err := <-stopped:
		t.Fatalf("Serve: %v", err)
	}
	t.Cleanup(func() {
		recorder.recordServer(out)
		_ = out.GRPC.Close()
		if err := out.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return out
}

func dial(t *testing.T, address string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// listener is a listener whose channel closed is closed when the listener is.
type listener struct {
	net.Listener

	once         sync.Once
	closed       chan struct{}
	smallBuffers bool   // limit the write buffers of connections
	onClose      func() // called before the listener closes, unless it is nil
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &listener{Listener: l, closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && l.smallBuffers {
		_ = tcp.SetWriteBuffer(4 << 10)
	}
	return conn, err
}

func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		if l.onClose != nil {
			l.onClose()
		}
		err = l.Listener.Close()
		close(l.closed)
	})
	return err
}

// newStore returns a store with the secrets of the configurations in testdata/service.yaml. The
// secret of acme-broken is too short, and acme-gone has none.
func newStore() *memory.Store {
	s := &memory.Store{}
	s.Put("sso/acme-customers", "shared_secret", []byte(customersSecret))
	s.Put("sso/acme-staff", "shared_secret", []byte(staffSecret))
	s.Put("sso/acme-both", "shared_secret", []byte(staffSecret))
	s.Put("sso/acme-broken", "shared_secret", []byte("MARKER-too-short"))
	s.Put("sso/acme-off", "shared_secret", []byte(customersSecret))
	return s
}

func parse(t testing.TB, yaml string) *config.Snapshot {
	t.Helper()
	snapshot, err := config.Parse("test.yaml", []byte(yaml), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// answer is an answer of either transport.
type answer struct {
	code    codes.Code
	http    int // the HTTP status, or 0 over gRPC
	reason  string
	message string
	field   map[string]string // the violations
	info    map[string]string // the metadata of ErrorInfo
	retry   time.Duration
	header  http.Header // the metadata over gRPC
	body    []byte      // only over HTTP
}

func (a *answer) details(s *status.Status) {
	a.code, a.message = s.Code(), s.Message()
	for _, d := range s.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			a.reason, a.info = d.GetReason(), d.GetMetadata()
		case *errdetails.BadRequest:
			a.field = make(map[string]string)
			for _, v := range d.GetFieldViolations() {
				a.field[v.GetField()] = v.GetDescription()
			}
		case *errdetails.RetryInfo:
			a.retry = d.GetRetryDelay().AsDuration()
		}
	}
}

// overGRPC calls a method at the gRPC server.
func (s *server) overGRPC(
	ctx context.Context,
	method string,
	request, response proto.Message,
	authorization ...string,
) answer {
	for _, a := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", a)
	}
	var header metadata.MD
	err := s.GRPC.Invoke(ctx, method, request, response, grpc.Header(&header))
	a := answer{header: http.Header(header)}
	a.details(status.Convert(err))
	if err == nil {
		recorder.recordTokens(prototext.Format(response))
	}
	return a
}

// overHTTP posts JSON to the REST gateway.
func (s *server) overHTTP(
	ctx context.Context,
	path, body string,
	response proto.Message,
	authorization ...string,
) answer {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		return answer{message: err.Error()}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header["Authorization"] = authorization
	return do(r, response)
}

// do sends a request and reads the status of an error or the message of a success.
func do(r *http.Request, response proto.Message) answer {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		return answer{code: codes.Unknown, message: err.Error()}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{code: codes.Unknown, message: err.Error()}
	}
	a := answer{http: res.StatusCode, header: res.Header, body: b}
	if res.StatusCode == http.StatusOK {
		recorder.recordTokens(string(b))
	}
	if res.StatusCode != http.StatusOK {
		var st rpcstatus.Status
		if err := protojson.Unmarshal(b, &st); err != nil {
			return answer{code: codes.Unknown, http: res.StatusCode, message: string(b), body: b, header: res.Header}
		}
		a.details(status.FromProto(&st))
		a.spellAsGRPC()
	} else if response != nil {
		if err := protojson.Unmarshal(b, response); err != nil {
			a.code, a.message = codes.Unknown, err.Error()
		}
		if m, ok := response.(interface{ GetWarnings() []*pb.Warning }); ok {
			for _, w := range m.GetWarnings() {
				w.Field = snakeCase(w.GetField())
			}
		}
	}
	return a
}

// claimsOf reads a token's payload without verifying it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts, want 3", len(parts))
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// buffer is a bytes.Buffer that is safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns and removes the content.
func (b *buffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.b.Reset()
	return b.b.String()
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
