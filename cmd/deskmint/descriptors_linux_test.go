//go:build long

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDescriptors checks that clients that open more connections than the process may have don't
// take away the ops listener, and that the process outlives a time without descriptors.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	path, secretsPath, key := files(t)
	binary := build(t)
	// The shell sets the limit before the process computes how many connections it accepts.
	d := spawn(t, "/bin/sh", append([]string{"-c", `ulimit -n 200 && exec "$0" "$@"`, binary},
		serveArgs(path, "--drain", "0s")...)...)
	d.awaitStart(t)
	probe := func(path string) error {
		client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + d.ops + path)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%d %s", response.StatusCode, text)
		}
		return err
	}
	// The server keeps these connections for two minutes, which is longer than a probe waits.
	const (
		request = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
		preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	)
	connect := func(address, text string) (end func()) {
		t.Helper()
		var all []net.Conn
		for range 300 { // those that aren't accepted wait in the kernel
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, text)
			all = append(all, conn)
		}
		return func() {
			for _, conn := range all {
				_ = conn.Close()
			}
		}
	}
	endHTTP, endGRPC := connect(d.http, request), connect(d.grpc, preface)
	for range 20 {
		for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
			must(t, probe(path))
		}
	}
	// The file of secrets can still be read.
	write(t, secretsPath, strings.Replace(secretsYAML(customersSecret), "versions:",
		"disabled: true\n    versions:", 1))
	d.awaitState(t, "disabled", anyVersion, "")
	write(t, secretsPath, secretsYAML(customersSecret))
	d.awaitState(t, "usable", 1, "")
	endHTTP()
	endGRPC()

	// Connections to the ops listener itself can use up everything.
	endOps := connect(d.ops, request)
	<-time.After(time.Second)
	endHTTP = connect(d.http, request)
	<-time.After(time.Second)
	endOps()
	endHTTP()
	eventually(t, func() error { return probe("/readyz") })
	if got := d.mint(t, key, "acme-customers"); got.token == "" {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}
