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

// TestProcess is for what only a process of its own can show: signals, and how it exits.
func TestProcess(t *testing.T) {
	t.Parallel()
	binary := build(t)
	t.Run("SIGTERM", func(t *testing.T) { t.Parallel(); testTerm(t, binary) })
	t.Run("SIGTERM with a request that doesn't end", func(t *testing.T) { t.Parallel(); testTermBounded(t, binary) })
	t.Run("certificates", func(t *testing.T) { t.Parallel(); testCertificates(t, binary) })
	t.Run("issuers", func(t *testing.T) { t.Parallel(); testIssuers(t, binary) })
	t.Run("SIGHUP", func(t *testing.T) { t.Parallel(); testHangup(t, binary) })
	t.Run("signals while warming", func(t *testing.T) { t.Parallel(); testSignalsWhileWarming(t, binary) })
	t.Run("a reader that is gone", func(t *testing.T) { t.Parallel(); testGoneReader(t, binary) })
	t.Run("exit codes", func(t *testing.T) { t.Parallel(); testExits(t, binary) })
}

// build makes the binary as the test's own was made, with the race detector or without: what it is
// made of has then been compiled already.
func build(t testing.TB) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "deskmint")
	args := []string{"build", "-o", binary}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
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

// inFlight is a request at each transport that has reached its handler, or waits for it, and lacks
// its end.
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
	if err := conn.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	// The server asks for the body when a handler reads it: so we know that one does.
	fmt.Fprintf(conn, "POST /v1/configurations/acme-customers:mintToken HTTP/1.1\r\nHost: deskmint\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", key, len(anaJSON))
	if line, err := f.read.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q %v", line, err)
	}
	if _, err := f.read.ReadString('\n'); err != nil {
		t.Fatal(err)
	}

	client := d.dial(t)
	f.grpc, err = client.NewStream(as(t.Context(), key), &grpc.StreamDesc{ClientStreams: true}, pb.TokenService_MintToken_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	// A later request that is answered on the same connection: the server has seen the one before.
	if _, err := pb.NewTokenServiceClient(client).MintToken(as(t.Context(), key), ana("acme-customers")); err != nil {
		t.Fatal(err)
	}
	return f
}

// finish sends the rest, and must get a token.
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
	if err := f.grpc.SendMsg(ana("acme-customers")); err != nil {
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

// testTerm: it says that it is going away, serves on for a while, then takes no more, and lets
// requests in flight finish.
func testTerm(t *testing.T, binary string) {
	config, _, key := files(t)
	d := spawn(t, binary, serveArgs(config, "--drain", "1s")...)
	d.begin(t)
	d.stands(t, "usable", 1, "")
	requests := startRequests(t, d, key)
	health := healthpb.NewHealthClient(d.dial(t))
	if answer, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("before: %v %v", answer, err)
	}
	d.stop()
	eventually(t, func() error {
		if ready, _ := d.readyz(t); ready {
			return fmt.Errorf("still ready")
		}
		return nil
	})
	// The drain: balancers are told, and who hasn't heard of it is served.
	if answer, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
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
	// Who is impatient doesn't turn the clean end into a death by signal.
	for ended := false; !ended; {
		_ = d.process.Signal(syscall.SIGTERM) // until it has
		select {
		case <-d.ended:
			ended = true
		case <-time.After(time.Millisecond):
		}
	}
	if err := d.end(); err != nil {
		t.Errorf("it exits with %v; standard error:\n%s", err, &d.err)
	}
	d.silent(t, customersSecret, key)
}

// testTermBounded: who never ends a request doesn't keep the process alive.
func testTermBounded(t *testing.T, binary string) {
	config, _, key := files(t)
	d := spawn(t, binary, serveArgs(config, "--drain", "0s")...)
	d.begin(t)
	requests := startRequests(t, d, key)
	if err := d.end(); err != nil {
		t.Errorf("it exits with %v; standard error:\n%s", err, &d.err)
	}
	if err := requests.grpc.RecvMsg(&pb.MintTokenResponse{}); status.Code(err) != codes.Unavailable {
		t.Errorf("the request that was cut off: %v", err)
	}
}

// testHangup: SIGHUP swaps the configuration whole, or not at all.
func testHangup(t *testing.T, binary string) {
	config, secrets, key := files(t)
	d := spawn(t, binary, serveArgs(config, "--drain", "0s")...)
	d.begin(t)
	labs := `{"brandId":"360002",` + anaJSON[1:]
	mint := func(body, reason string) {
		t.Helper()
		if got := d.post(t, key, "/v1/configurations/acme-customers:mintToken", body); got.reason != reason || (got.token == "") != (reason != "") {
			t.Errorf("%d %s, want the reason %q", got.status, got.body, reason)
		}
	}
	// hangup sends the signal and waits for so many outcomes of it in the log.
	outcomes := 0
	hangup := func(want string) string {
		t.Helper()
		before := len(d.err.String())
		if err := d.process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		outcomes++
		eventually(t, func() error {
			select {
			case <-d.ended:
				t.Fatalf("it has ended: %v", d.failure)
			default:
			}
			// Beside them are the outcomes of the watch, which may have been first.
			if n := strings.Count(d.err.String(), `"trigger":"signal"`); n != outcomes {
				return fmt.Errorf("%d outcomes of %d signals", n, outcomes)
			}
			return nil
		})
		log := d.err.String()[before:]
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the log:\n%s", want, log)
		}
		return log
	}
	edit := func(old, new string) {
		t.Helper()
		text, err := os.ReadFile(config)
		if err != nil || !strings.Contains(string(text), old) {
			t.Fatalf("no %q: %v", old, err)
		}
		write(t, config, strings.ReplaceAll(string(text), old, new))
	}

	mint(anaJSON, "")
	mint(labs, "BRAND_NOT_ALLOWED")
	const acme = `{id: "360001", name: Acme, subdomain: acme}`
	edit(acme, acme+",\n"+`        {id: "360002", name: Labs, subdomain: acme-labs}`)
	edit(`subdomain: acme}`, `subdomain: acme, default: true}`)
	hangup(`"the configuration was reloaded"`)
	mint(labs, "")

	// A fault: nothing changes, and the log has its place.
	edit("subdomain: acme-labs", "subdomain: acme labs")
	if log := hangup("the one before goes on"); !strings.Contains(log, config+":8: configurations[0].zendesk_sso.brands[1].subdomain") {
		t.Errorf("the log doesn't name the place:\n%s", log)
	}
	mint(labs, "")
	write(t, config, "")
	hangup("the one before goes on")
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	hangup("no such file")
	mint(labs, "")

	// Another caller and another secret, and the ones before are gone.
	_, hash := caller.NewKey()
	write(t, secrets, secretsYAML(customersSecret)+"  sso/shop:\n    versions:\n      3: {shared_secret: "+nextSecret+"}\n")
	write(t, config, strings.ReplaceAll(onFile(hash), "acme-customers", "shop"))
	hangup(`"the configuration was reloaded"`)
	mint(anaJSON, "CALLER_UNAUTHENTICATED")
	if _, configurations := d.readyz(t); len(configurations) != 1 || configurations["shop"].Active != 3 {
		t.Errorf("/readyz: %+v", configurations)
	}
	if err := d.end(); err != nil {
		t.Errorf("it exits with %v", err)
	}
	d.silent(t, customersSecret, nextSecret, key)
}

// testSignalsWhileWarming: a SIGHUP that comes early kills nobody, and a SIGTERM is an orderly end.
func testSignalsWhileWarming(t *testing.T, binary string) {
	config, asked := onDumbVault(t)
	d := spawn(t, binary, serveArgs(config)...)
	<-asked
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := d.end(); err != nil || strings.Contains(d.out.String(), "ready") {
		t.Errorf("it exits with %v; standard error:\n%s", err, &d.err)
	}
}

func testExits(t *testing.T, binary string) {
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
		_ = cmd.Run() // its code says it
		if cmd.ProcessState.ExitCode() != c.code || errs.String() != c.stderr {
			t.Errorf("deskmint %s: exit code %d, standard error %q", c.args, cmd.ProcessState.ExitCode(), errs.String())
		}
	}
}
