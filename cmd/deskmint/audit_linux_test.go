package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/audit"
)

// TestAuditProcess checks what needs a separate process: the records survive a kill, a full disk,
// and a log rotation.
func TestAuditProcess(t *testing.T) {
	t.Parallel()
	binary := build(t)
	t.Run("killed under load", func(t *testing.T) { t.Parallel(); testKill(t, binary) })
	t.Run("rotated under load", func(t *testing.T) { t.Parallel(); testLogRotation(t, binary) })
	t.Run("a full disk", func(t *testing.T) { t.Parallel(); testFullDisk(t, binary) })
}

// serveWithRecords starts a service that keeps its records in a file.
func serveWithRecords(t *testing.T, binary string) (d *deskmint, key, records string) {
	t.Helper()
	config, _, key := files(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// The added rate limit belongs to the last grant. It is higher than the load of this test.
	write(t, config, string(text)+"        rate: {per_second: 1000000, burst: 1000000}\naudit: {output: audit.log}\n")
	d = spawn(t, binary, serveArgs(config, "--drain", "0s")...)
	return d, key, filepath.Join(filepath.Dir(config), "audit.log")
}

// clientGroup is a group of clients that mint through both transports until they are stopped or the
// service is gone.
type clientGroup struct {
	mu     sync.Mutex
	tokens []string // that a client received
	people int
	faults []string // the reasons of refusals

	stop context.CancelFunc
	all  sync.WaitGroup
}

func (d *deskmint) startClients(t *testing.T, key string, each int) *clientGroup {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &clientGroup{stop: cancel}
	for i := range each {
		conn, err := grpc.NewClient(d.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		client := pb.NewTokenServiceClient(conn)
		c.run(ctx, func() (string, string, error) {
			request := anaRequest("acme-customers")
			request.User.Email = c.nextEmail(i)
			answer, err := client.MintToken(withKey(ctx, key), request)
			return answer.GetToken(), reasonOf(err), err
		}, func() { _ = conn.Close() })

		transport := &http.Transport{}
		c.run(ctx, func() (string, string, error) { return overREST(ctx, transport, d.http, key, c.nextEmail(i)) },
			transport.CloseIdleConnections)
	}
	t.Cleanup(func() { cancel(); c.all.Wait() })
	return c
}

// nextEmail returns the address of a person who was not signed in before. Each person has a rate
// limit.
func (c *clientGroup) nextEmail(client int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.people++
	return fmt.Sprintf("ana-%d-%d@customer.example", client, c.people)
}

// overREST mints a token over REST. It reads the response to its end, because only then the client
// has received the token.
func overREST(
	ctx context.Context, transport http.RoundTripper, address, key, email string,
) (token, reason string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+address+"/v1/configurations/acme-customers:mintToken",
		strings.NewReader(strings.Replace(anaJSON, "ana@customer.example", email, 1)))
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := transport.RoundTrip(r)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", "", err
	}
	var parsed struct {
		Token   string
		Details []struct{ Reason string }
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return "", "", err
	}
	for _, detail := range parsed.Details {
		reason += detail.Reason
	}
	return parsed.Token, reason, nil
}

// run runs one client. It ends when the service doesn't respond.
func (c *clientGroup) run(ctx context.Context, mint func() (token, reason string, err error), end func()) {
	c.all.Go(func() {
		defer end()
		for ctx.Err() == nil {
			token, reason, err := mint()
			c.mu.Lock()
			if token != "" {
				c.tokens = append(c.tokens, token)
			}
			if reason != "" {
				c.faults = append(c.faults, reason)
			}
			c.mu.Unlock()
			if err != nil && reason == "" {
				return
			}
		}
	})
}

func (c *clientGroup) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tokens)
}

func (c *clientGroup) refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.faults)
}

// awaitTokens waits until n tokens have been received.
func (c *clientGroup) awaitTokens(t *testing.T, n int) {
	t.Helper()
	eventually(t, func() error {
		if got := c.received(); got < n {
			return fmt.Errorf("%d tokens of %d", got, n)
		}
		return nil
	})
}

// countRecords counts the records of each token, and returns the lines that are not records.
func countRecords(t *testing.T, paths ...string) (found map[string]int, cut []string) {
	t.Helper()
	found = make(map[string]int)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var r audit.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				cut = append(cut, line)
				continue
			}
			if r.TokenHash != "" {
				found[r.TokenHash]++
			}
		}
	}
	return found, cut
}

// checkRecorded checks that every received token has exactly one record.
func (c *clientGroup) checkRecorded(t *testing.T, found map[string]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, token := range c.tokens {
		if n := found[audit.Hash(token)]; n != 1 {
			t.Fatalf("a token of %d is on record %d times", len(c.tokens), n)
		}
	}
	t.Logf("%d tokens received, %d on record", len(c.tokens), len(found))
}

// testKill checks that a killed process has returned no token without a record. It kills the
// process at several moments.
func testKill(t *testing.T, binary string) {
	for round := range 5 {
		d, key, records := serveWithRecords(t, binary)
		d.awaitReady(t)
		c := d.startClients(t, key, 8)
		c.awaitTokens(t, 200+137*round) // an arbitrary moment
		d.kill()
		<-d.ended
		c.all.Wait()
		found, cut := countRecords(t, records)
		c.checkRecorded(t, found)
		if len(cut) > 1 || len(cut) == 1 && strings.HasSuffix(cut[0], "\n") {
			t.Errorf("more than the last line is cut: %q", cut)
		}
		if len(c.faults) > 0 {
			t.Errorf("refused: %v", c.faults[0])
		}
	}
}

// testLogRotation checks that the rotated files together have each record once. A SIGHUP reopens
// the file after each rotation.
func testLogRotation(t *testing.T, binary string) {
	d, key, records := serveWithRecords(t, binary)
	d.awaitStart(t)
	c := d.startClients(t, key, 4)
	paths := []string{records}
	for n := range 20 {
		c.awaitTokens(t, c.received()+20)
		moved := fmt.Sprintf("%s.%d", records, n)
		if err := os.Rename(records, moved); err != nil {
			t.Fatal(err)
		}
		if err := d.process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, moved)
		eventually(t, func() error { _, err := os.Stat(records); return err })
	}
	// If the folder is gone, the service keeps the previous file, and logs that.
	dir := filepath.Dir(records)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if text, ok := d.err.await("the audit file was not opened again; the one before goes on", d.ended); !ok {
		t.Errorf("the log doesn't say that the file couldn't be opened:\n%s", text)
	}
	c.awaitTokens(t, c.received()+20)
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	c.stop()
	c.all.Wait()
	if err := d.end(); err != nil {
		t.Error(err)
	}
	if len(c.faults) > 0 {
		t.Errorf("refused: %v", c.faults[0])
	}
	found, cut := countRecords(t, paths...)
	c.checkRecorded(t, found)
	if len(cut) > 0 {
		t.Errorf("lines are cut: %q", cut)
	}
	d.checkNoSecrets(t, customersSecret, key)
}

// testFullDisk checks a file system that becomes full in the middle of a record. Then neither
// transport returns a token. The process stays ready, and signs again without a restart when there
// is free space.
func testFullDisk(t *testing.T, binary string) {
	d, key, records := serveWithRecords(t, binary)
	d.awaitStart(t)
	if got := d.mint(t, key, "acme-customers"); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for n, more := range []int64{100, 1, 0} { // bytes; the disk becomes full within a record
		d.limitGrowth(t, records, more)
		c := d.startClients(t, key, 4)
		eventually(t, func() error {
			if n := c.refused(); n < 8 {
				return fmt.Errorf("%d refusals", n)
			}
			return nil
		})
		if got := d.mint(t, key, "acme-customers"); got.status != http.StatusServiceUnavailable ||
			got.reason != "AUDIT_UNAVAILABLE" || got.token != "" {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := d.list(t, key); got.status != http.StatusServiceUnavailable || got.reason != "AUDIT_UNAVAILABLE" {
			t.Errorf("reading: %d %s", got.status, got.body)
		}
		if ready, _ := d.readyz(t); !ready {
			t.Error("not ready")
		}
		d.limitGrowth(t, records, 1<<30)
		before := c.received()
		c.awaitTokens(t, before+40)
		c.stop()
		c.all.Wait()
		found, cut := countRecords(t, records)
		c.checkRecorded(t, found)
		if len(cut) != min(n+1, 2) {
			t.Errorf("the disk was full in the middle of %d records", len(cut))
		}
		for _, line := range cut {
			if strings.Count(line, "{") != 1 || !strings.HasPrefix(line, "{") {
				t.Errorf("a record is glued to a cut one: %q", line)
			}
		}
		for _, reason := range c.faults {
			if reason != "AUDIT_UNAVAILABLE" {
				t.Errorf("refused with %s", reason)
			}
		}
		t.Logf("%d refused", len(c.faults))
	}
	// Each refusal has the same cause. One log line a second is enough.
	if lines := strings.Count(d.err.String(), "request failed"); lines > 30 {
		t.Errorf("the log has %d lines about it", lines)
	}
	d.checkNoSecrets(t, customersSecret, key)
}

// limitGrowth makes writes fail when a file has grown by this many bytes.
func (d *deskmint) limitGrowth(t *testing.T, path string, more int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: uint64(info.Size() + more), Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(d.process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// list sends a request that doesn't sign.
func (d *deskmint) list(t *testing.T, key string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.http+"/v1/configurations", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response)
}
