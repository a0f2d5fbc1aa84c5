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

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/certs"
	"github.com/deskmint/deskmint/service/config"
)

// The secrets and keys of the tests are markers: whatever a test makes the service write somewhere
// can be searched for them.
const (
	customersSecret = "MARKER-customers-secret-0123456789abcdef" // #nosec G101 -- a test's
	staffSecret     = "MARKER-staff-secret-0123456789abcdefghij" // #nosec G101 -- a test's
	nextSecret      = "MARKER-next-secret-0123456789abcdefghijk" // #nosec G101 -- a test's
)

// now is the moment at which every test's service lives.
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
	seen  int     // of Audit, by records

	client    *tls.Config // of a client that speaks TLS; nil: plaintext
	listeners []*listener // gRPC, HTTP, ops
	stop      func() error
}

// settings change what a server is made of.
type settings struct {
	configuration string
	audit         io.Writer
	now           func() time.Time
	secrets       func(service.Secrets) service.Secrets // what stands between the keyring and the service
	stats         stats.Handler
	drain, grace  time.Duration
	certificates  *certs.Store  // of both transports; nil: plaintext
	patience      time.Duration // of the transports with a client that stalls; 0: as in earnest
	age           time.Duration // that a connection reaches; 0: as in earnest
	narrow        bool          // the transports have listeners that are
}

// start serves until the test ends.
func start(t *testing.T, s settings) *server {
	t.Helper()
	out := &server{Log: &buffer{}, Audit: &buffer{}, Store: store()}
	log := slog.New(slog.NewJSONHandler(out.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	snapshot := parse(t, s.configuration)
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
	if s.patience != 0 {
		out.ShortenTimeouts(s.patience)
	}
	if s.age != 0 {
		out.SetConnectionAge(s.age)
	}
	out.listeners = []*listener{listen(t), listen(t), listen(t)}
	out.listeners[0].narrow, out.listeners[1].narrow = s.narrow, s.narrow
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() {
		stopped <- out.Serve(ctx, service.Listeners{GRPC: out.listeners[0], HTTP: out.listeners[1], Ops: out.listeners[2], TLS: s.certificates})
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
		suite.keep(out)
		_ = out.GRPC.Close()
		if err := out.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return out
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// listener tells when it has been closed.
type listener struct {
	net.Listener

	once    sync.Once
	closed  chan struct{}
	narrow  bool   // what is written is taken only as fast as the other side reads
	onClose func() // called before it closes; nil: nothing is
}

func listen(t *testing.T) *listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &listener{Listener: l, closed: make(chan struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && l.narrow {
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

// store has a secret for each configuration of testdata/service.yaml; that of acme-broken is too
// short.
func store() *memory.Store {
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

// answer is what came back from either transport, in one form.
type answer struct {
	code    codes.Code
	http    int // 0 over gRPC
	reason  string
	message string
	field   map[string]string // violations
	info    map[string]string // ErrorInfo metadata
	retry   time.Duration
	header  http.Header // metadata over gRPC
	body    []byte      // HTTP's
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

// overGRPC calls the method that takes such a request.
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
		suite.answered(prototext.Format(response))
	}
	return a
}

// overHTTP posts JSON.
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

// do sends a request, and reads an error's status or a success's message.
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
		suite.answered(string(b))
	}
	if res.StatusCode != http.StatusOK {
		var st rpcstatus.Status
		if err := protojson.Unmarshal(b, &st); err != nil {
			return answer{code: codes.Unknown, http: res.StatusCode, message: string(b), body: b, header: res.Header}
		}
		a.details(status.FromProto(&st))
	} else if response != nil {
		if err := protojson.Unmarshal(b, response); err != nil {
			a.code, a.message = codes.Unknown, err.Error()
		}
	}
	return a
}

// claimsOf reads a token's payload without verifying it.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("a token of %d parts", len(parts))
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

// buffer is a bytes.Buffer for several writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// take returns what was written, and forgets it.
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
