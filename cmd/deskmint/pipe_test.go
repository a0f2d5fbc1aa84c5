package main

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// testClosedOutput closes the reading end of standard output, which has the records. From then on
// nothing is signed, and the process keeps running and reports that.
func testClosedOutput(t *testing.T, binary string) {
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
	_ = written.Close() // the process has a copy
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
			t.Errorf("the response is %d %q", a.status, a.reason)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it exits with %v", err)
	}
}
