package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/caller"
)

// TestProcess checks what needs a separate process: signals and exit codes.
func TestProcess(t *testing.T) {
	t.Parallel()
	binary := build(t)
	t.Run("SIGTERM", func(t *testing.T) { t.Parallel(); testTerm(t, binary) })
	t.Run("SIGTERM with a request that doesn't end", func(t *testing.T) { t.Parallel(); testTermTimeout(t, binary) })
	t.Run("certificates", func(t *testing.T) { t.Parallel(); testCertificates(t, binary) })
	t.Run("issuers", func(t *testing.T) { t.Parallel(); testIssuers(t, binary) })
	t.Run("SIGHUP", func(t *testing.T) { t.Parallel(); testHangup(t, binary) })
	t.Run("signals while warming", func(t *testing.T) { t.Parallel(); testSignalsWhileWarming(t, binary) })
	t.Run("a reader that is gone", func(t *testing.T) { t.Parallel(); testClosedOutput(t, binary) })
	t.Run("sandbox", func(t *testing.T) { t.Parallel(); testSandbox(t, binary) })
	t.Run("exit codes", func(t *testing.T) { t.Parallel(); testExitCodes(t, binary) })
}

// build builds the binary with the same settings as the test, with or without the race detector.
// The packages are then in the build cache.
func build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "deskmint")
	args := []string{"build", "-o", binary}
	if info, ok := debug.ReadBuildInfo(); ok &&
		slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return binary
}

func serveArgs(config string, more ...string) []string {
	return append(append([]string{"serve", "--config", config}, anyPort...), more...)
}

// inFlight is a request through each transport. It has reached its handler, or waits for it, and
// its body is incomplete.
type inFlight struct {
	http net.Conn
	read *bufio.Reader
	grpc grpc.ClientStream
}

func startRequests(t *testing.T, d *deskmint, key string) inFlight {
	t.Helper()
	var f inFlight
	conn, err := net.Dial("tcp", d.http)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f.http, f.read = conn, bufio.NewReader(conn)
	if err := conn.SetDeadline(time.Now().Add(longTimeout)); err != nil {
		t.Fatal(err)
	}
	// The server sends 100 Continue when a handler reads the body. So its arrival shows that a
	// handler does.
	fmt.Fprintf(conn,
		"POST /v1/configurations/acme-customers:mintToken HTTP/1.1\r\nHost: deskmint\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", key, len(anaJSON))
	if line, err := f.read.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q %v", line, err)
	}
	if _, err := f.read.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	client := d.dial(t)
	f.grpc, err = client.NewStream(withKey(t.Context(), key), &grpc.StreamDesc{ClientStreams: true},
		pb.TokenService_MintToken_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	// The server responds to a later request on the same connection, so it has received the earlier
	// one.
	if _, err := pb.NewTokenServiceClient(client).MintToken(withKey(t.Context(), key),
		anaRequest("acme-customers")); err != nil {
		t.Fatal(err)
	}
	return f
}

// finish completes the requests, which must return tokens.
func (f inFlight) finish(t *testing.T) {
	t.Helper()
	if _, err := f.http.Write([]byte(anaJSON)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(f.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAnswer(t, response); got.status != http.StatusOK {
		t.Errorf("over REST: %d %s", got.status, got.body)
	} else {
		claims(t, got.token, customersSecret)
	}
	minted := &pb.MintTokenResponse{}
	if err := f.grpc.SendMsg(anaRequest("acme-customers")); err != nil {
		t.Fatal(err)
	}
	if err := f.grpc.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := f.grpc.RecvMsg(minted); err != nil {
		t.Fatalf("over gRPC: %v", err)
	}
	claims(t, minted.GetToken(), customersSecret)
}

// testTerm checks that a service reports its end to load balancers, serves for a while, and then
// accepts no more connections. Requests in flight finish.
func testTerm(t *testing.T, binary string) {
	config, _, key := files(t)
	d := spawn(t, binary, serveArgs(config, "--drain", "1s")...)
	d.awaitStart(t)
	d.awaitState(t, "usable", 1, "")
	requests := startRequests(t, d, key)
	health := healthpb.NewHealthClient(d.dial(t))
	if answer, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil ||
		answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("before: %v %v", answer, err)
	}
	d.stop()
	eventually(t, func() error {
		if ready, _ := d.readyz(t); ready {
			return fmt.Errorf("still ready")
		}
		return nil
	})
	// During the drain, the health service reports the end. Clients that haven't noticed are still
	// served.
	if answer, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil ||
		answer.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while draining: %v %v", answer, err)
	}
	if got := d.mint(t, key, "acme-customers"); got.status != http.StatusOK {
		t.Errorf("while draining: %d %s", got.status, got.body)
	}
	for _, transport := range []string{d.grpc, d.http} {
		eventually(t, func() error {
			conn, err := net.Dial("tcp", transport)
			if err == nil {
				_ = conn.Close()
				return fmt.Errorf("%s takes connections", transport)
			}
			return nil
		})
	}
	requests.finish(t)
	// A second signal doesn't turn the orderly end into a death by signal.
	for ended := false; !ended; {
		_ = d.process.Signal(syscall.SIGTERM) // until it has ended
		select {
		case <-d.ended:
			ended = true
		case <-time.After(time.Millisecond):
		}
	}
	if err := d.end(); err != nil {
		t.Errorf("the process exits with %v; standard error:\n%s", err, &d.err)
	}
	d.checkNoSecrets(t, customersSecret, key)
}

// testTermTimeout checks that a request that never ends doesn't prevent the end of the process.
func testTermTimeout(t *testing.T, binary string) {
	config, _, key := files(t)
	d := spawn(t, binary, serveArgs(config, "--drain", "0s")...)
	d.awaitStart(t)
	requests := startRequests(t, d, key)
	if err := d.end(); err != nil {
		t.Errorf("the process exits with %v; standard error:\n%s", err, &d.err)
	}
	if err := requests.grpc.RecvMsg(&pb.MintTokenResponse{}); status.Code(err) != codes.Unavailable {
		t.Errorf("the interrupted request: %v", err)
	}
}

// hangupTest is a service whose configuration changes only at a signal.
type hangupTest struct {
	*deskmint

	config  string
	signals int
}

// hangup sends the signal, waits for its outcome in the log, and returns the new part of the log.
func (h *hangupTest) hangup(t *testing.T, want string) string {
	t.Helper()
	before := len(h.err.String())
	if err := h.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	h.signals++
	eventually(t, func() error {
		select {
		case <-h.ended:
			t.Fatalf("it has ended: %v", h.failure)
		default:
		}
		// The log also has outcomes of the watch, which may come first.
		if n := strings.Count(h.err.String(), `"trigger":"signal"`); n != h.signals {
			return fmt.Errorf("%d outcomes of %d signals", n, h.signals)
		}
		return nil
	})
	log := h.err.String()[before:]
	if !strings.Contains(log, want) {
		t.Errorf("no %q in the log:\n%s", want, log)
	}
	return log
}

// edit replaces a part of the configuration file.
func (h *hangupTest) edit(t *testing.T, old, new string) {
	t.Helper()
	text, err := os.ReadFile(h.config)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("no %q: %v", old, err)
	}
	write(t, h.config, strings.ReplaceAll(string(text), old, new))
}

// testHangup checks that SIGHUP replaces the whole configuration, or nothing.
func testHangup(t *testing.T, binary string) {
	config, secrets, key := files(t)
	d := spawn(t, binary, serveArgs(config, "--drain", "0s")...)
	d.awaitStart(t)
	labs := `{"brandId":"360002",` + anaJSON[1:]
	mint := func(body, reason string) {
		t.Helper()
		if got := d.post(t, key, "/v1/configurations/acme-customers:mintToken", body); got.reason != reason ||
			(got.token == "") != (reason != "") {
			t.Errorf("%d %s, want the reason %q", got.status, got.body, reason)
		}
	}
	h := &hangupTest{deskmint: d, config: config}
	mint(anaJSON, "")
	mint(labs, "BRAND_NOT_ALLOWED")
	const acme = `{id: "360001", name: Acme, subdomain: acme}`
	h.edit(t, acme, acme+",\n"+`        {id: "360002", name: Labs, subdomain: acme-labs}`)
	h.edit(t, `subdomain: acme}`, `subdomain: acme, default: true}`)
	h.hangup(t, `"the configuration was reloaded`)
	mint(labs, "")

	// A fault changes nothing, and the log has its place.
	h.edit(t, "subdomain: acme-labs", "subdomain: acme labs")
	if log := h.hangup(t, "the one before goes on"); !strings.Contains(log,
		config+":9: configurations[0].zendesk_sso.brands[1].subdomain") {
		t.Errorf("the log doesn't name the place:\n%s", log)
	}
	mint(labs, "")
	write(t, config, "")
	h.hangup(t, "the one before goes on")
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	h.hangup(t, "no such file")
	mint(labs, "")

	// The new file has another caller and another secret. The previous ones don't work any more.
	_, hash := caller.NewKey()
	write(t, secrets,
		secretsYAML(customersSecret)+"  sso/shop:\n    versions:\n      3: {shared_secret: "+nextSecret+"}\n")
	write(t, config, strings.ReplaceAll(onFile(hash), "acme-customers", "shop"))
	h.hangup(t, `"the configuration was reloaded`)
	mint(anaJSON, "CALLER_UNAUTHENTICATED")
	if _, configurations := d.readyz(t); len(configurations) != 1 || configurations["shop"].Active != 3 {
		t.Errorf("/readyz: %+v", configurations)
	}
	h.hangup(t, `"the configuration was reloaded: its files are the same as before"`)
	if err := d.end(); err != nil {
		t.Errorf("it exits with %v", err)
	}
	d.checkNoSecrets(t, customersSecret, nextSecret, key)
}

// testSignalsWhileWarming checks that an early SIGHUP doesn't end the process, and that an early
// SIGTERM ends it in order.
func testSignalsWhileWarming(t *testing.T, binary string) {
	config, requests := blockingVault(t)
	d := spawn(t, binary, serveArgs(config)...)
	<-requests
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := d.end(); err != nil || strings.Contains(d.out.String(), "ready") {
		t.Errorf("the process exits with %v; standard error:\n%s", err, &d.err)
	}
}

func testExitCodes(t *testing.T, binary string) {
	for _, c := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"--help", 0, ""},
		{"config schema", 0, ""},
		{"", 0, ""},
		{"serve", 2, "deskmint: missing flags: --config=FILE (see deskmint serve --help)\n"},
		{"config check --config x.yaml", 2, "deskmint: unknown flag --config (see deskmint config check --help)\n"},
		{"serve --config nowhere.yaml", 1, "deskmint: nowhere.yaml: can't be read: no such file or directory\n"},
		{"nonsense", 2, "deskmint: unexpected argument nonsense (see deskmint --help)\n"},
	} {
		cmd := exec.CommandContext(t.Context(), binary, strings.Fields(c.args)...)
		var errs strings.Builder
		cmd.Stderr = &errs
		cmd.Dir = t.TempDir()
		_ = cmd.Run() // the exit code is checked below
		if cmd.ProcessState.ExitCode() != c.code || errs.String() != c.stderr {
			t.Errorf("deskmint %s: exit code %d, standard error %q", c.args, cmd.ProcessState.ExitCode(), errs.String())
		}
	}
}
