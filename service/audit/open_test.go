package audit_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskmint/deskmint/service/audit"
)

func TestOpenStreams(t *testing.T) {
	for output, toStdout := range map[string]bool{"": true, "stdout": true, "stderr": false} {
		var stdout, stderr bytes.Buffer
		log, err := audit.Open(audit.Settings{Output: output}, &stdout, &stderr)
		if err != nil {
			t.Fatal(err)
		}
		record, person := audit.Record{Decision: "allow"}, audit.Person{Email: "jo@example.com"}
		if err := log.Write(context.Background(), record, person); err != nil {
			t.Fatal(err)
		}
		used, other := &stdout, &stderr
		if !toStdout {
			used, other = other, used
		}
		if !strings.HasPrefix(used.String(), "{") || other.Len() > 0 {
			t.Errorf("output %q: %q on stdout, %q on stderr", output, stdout.String(), stderr.String())
		}
		if strings.Contains(used.String(), "example.com") {
			t.Errorf("an address is recorded although the settings don't allow it: %s", used)
		}
		// Close doesn't close the streams of the process.
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if err := log.Write(context.Background(), audit.Record{}, audit.Person{}); err != nil {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for _, decision := range []string{"allow", "deny"} { // the second log appends to the file
		log, err := audit.Open(audit.Settings{Output: path}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Write(context.Background(), audit.Record{Decision: decision}, audit.Person{}); err != nil {
			t.Fatal(err)
		}
		// The operating system has the record before Close.
		if b, err := os.ReadFile(path); err != nil || !strings.Contains(string(b), decision) {
			t.Errorf("before Close the file holds %q, %v", b, err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if err := log.Write(context.Background(), audit.Record{}, audit.Person{}); err == nil {
			t.Error("writing to a closed file succeeded")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v; want 0600", info.Mode(), err)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Count(string(b), "\n") != 2 || !strings.Contains(string(b), "allow") ||
		!strings.Contains(string(b), "deny") {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name   string
		output string
		wants  []string
	}{
		{"directory", dir, []string{"audit.output", dir, "is a directory"}},
		{
			"no such directory", filepath.Join(dir, "nope", "audit.log"),
			[]string{"audit.output", "nope", "no such file"},
		},
	} {
		log, err := audit.Open(audit.Settings{Output: test.output}, nil, nil)
		if log != nil || err == nil {
			t.Errorf("%s: Open returned %v, %v", test.name, log, err)
			continue
		}
		for _, want := range test.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", test.name, err, want)
			}
		}
	}
}

func TestOpenEmailKey(t *testing.T) {
	const canary = "canary7f3acanary7f3acanary7f3acanary7f3a"
	dir := t.TempDir()
	file := func(name, content string) string { return writeFile(t, filepath.Join(dir, name), content) }
	for _, test := range []struct {
		name, path string
		wants      []string
	}{
		{"missing", filepath.Join(dir, "nope"), []string{"audit.email_key_file", "nope", "no such file"}},
		{"directory", dir, []string{"audit.email_key_file", dir}},
		{"empty", file("empty", ""), []string{"audit.email_key_file", "empty", "0 of at least 32 bytes"}},
		{
			"blank", file("blank", strings.Repeat(" \n", 32)),
			[]string{"audit.email_key_file", "blank", "0 of at least 32 bytes"},
		},
		{
			"short",
			file("short", canary[:31]+"\n"),
			[]string{"audit.email_key_file", "short", "31 of at least 32 bytes"},
		},
	} {
		// If the key is invalid, Open must not create the output file.
		output := filepath.Join(dir, "out-"+test.name)
		log, err := audit.Open(audit.Settings{Output: output, EmailKeyFile: test.path}, nil, nil)
		if log != nil || err == nil {
			t.Errorf("%s: Open returned %v, %v", test.name, log, err)
			continue
		}
		for _, want := range test.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", test.name, err, want)
			}
		}
		if strings.Contains(err.Error(), canary[:8]) {
			t.Errorf("%s: %q contains the key", test.name, err)
		}
		if _, err := os.Stat(output); !os.IsNotExist(err) {
			t.Errorf("%s: the output was opened", test.name)
		}
	}

}

// TestEmailKeyLineEnd checks that the line end that editors add to a file isn't part of the key.
func TestEmailKeyLineEnd(t *testing.T) {
	const key = "canary7f3acanary7f3acanary7f3acanary7f3a"
	dir := t.TempDir()
	file := func(name, content string) string { return writeFile(t, filepath.Join(dir, name), content) }
	person := audit.Person{Email: "jo@example.com"}
	var plain, edited bytes.Buffer
	for path, w := range map[string]*bytes.Buffer{
		file("plain", key): &plain, file("edited", key+"\r\n"): &edited,
	} {
		log, err := audit.Open(audit.Settings{EmailKeyFile: path}, w, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Write(context.Background(), audit.Record{RecordID: "R1"}, person); err != nil {
			t.Fatal(err)
		}
	}
	if plain.String() != edited.String() || !strings.Contains(plain.String(), "email_hmac_sha256") ||
		strings.Contains(plain.String(), "jo@") {
		t.Errorf("got %s and %s", &plain, &edited)
	}
	if want := write(t, audit.Settings{}, []byte(key), audit.Record{}, person); plain.String() != want {
		t.Errorf("got %s, want %s", &plain, want)
	}
}
