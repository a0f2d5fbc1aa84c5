package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// testGoneReader: whoever reads standard output, and with it the records, may go
// away. Nothing is signed from then on, and the process lives to say so.
func testGoneReader(t *testing.T, binary string) {
	config, _, key := files(t)
	read, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, serveArgs(config, "--drain", "0s")...)
	cmd.Stdout = written
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = written.Close() // ours; the process has its own
	d := &deskmint{}
	for lines := bufio.NewScanner(read); lines.Scan() && lines.Text() != "ready"; {
		switch name, address, _ := strings.Cut(lines.Text(), "="); name {
		case "grpc":
			d.grpc = address
		case "http":
			d.http = address
		}
	}
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := d.mint(t, key, "acme-customers"); a.reason != "AUDIT_UNAVAILABLE" || a.token != "" {
			t.Errorf("answered %d %q", a.status, a.reason)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it exits with %v", err)
	}
}
