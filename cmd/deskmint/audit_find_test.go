package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
)

const auditKey = "an-audit-key-of-the-tests-with-32-bytes-or-more"

// recordFiles are the files of a service that keeps records in audit.log, with hashes. Its caller
// may ask for external ids that begin with Shop-, and its key is known as identity checkout.
func recordFiles(t *testing.T) (config, key string) {
	t.Helper()
	key, hash := caller.NewKey()
	text := strings.NewReplacer(
		"- api_key_sha256:", "- name: checkout\n        api_key_sha256:",
		"roles: [unset, end_user]", "roles: [unset, end_user]\n        claims: {external_id: {prefix: Shop-}}",
	).Replace(onFile(hash)) + "audit: {output: audit.log, email_key_file: audit.key}\n"
	dir := folder(t, map[string]string{"deskmint.yaml": text, "secrets.yaml": secretsYAML(customersSecret), "audit.key": auditKey})
	return filepath.Join(dir, "deskmint.yaml"), key
}

// finds runs audit find, and returns the records that it prints, one a line.
func finds(t *testing.T, stdin string, args ...string) (lines []string, errs string, err error) {
	t.Helper()
	out, errs, err := invoke(t, stdin, append([]string{"audit", "find"}, args...)...)
	for line := range strings.Lines(out) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines, errs, err
}

// recorded is a sign-in at a running service, as its caller knows it.
type recorded struct{ email, externalID, token, jti, requestID string }

// mintFor signs somebody in through either transport.
func (d *deskmint) mintFor(t *testing.T, key, transport, email, externalID string) recorded {
	t.Helper()
	in := recorded{email: email, externalID: externalID}
	if transport == "grpc" {
		request := ana("acme-customers")
		request.User.Email, request.User.ExternalId = email, externalID
		var header metadata.MD
		r, err := pb.NewTokenServiceClient(d.dial(t)).MintToken(as(t.Context(), key), request, grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		in.token, in.jti, in.requestID = r.GetToken(), r.GetJti(), header.Get("x-request-id")[0]
		return in
	}
	body := fmt.Sprintf(`{"user":{"email":%q,"emailVerified":true,"name":"Ana","externalId":%q}}`, email, externalID)
	a := d.post(t, key, "/v1/configurations/acme-customers:mintToken", body)
	var said struct{ Jti string }
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	in.token, in.jti, in.requestID = a.token, said.Jti, a.header.Get("X-Request-Id")
	return in
}

// TestAuditFind signs people in at a running service through both transports, has one denied, and
// finds the records by each of the six ways, also after a rotation.
func TestAuditFind(t *testing.T) {
	t.Parallel()
	config, key := recordFiles(t)
	d := serve(t, config)
	log := filepath.Join(filepath.Dir(config), "audit.log")
	for _, transport := range []string{"grpc", "http"} {
		who := d.mintFor(t, key, transport, transport+"@customer.example", "Shop-"+transport)
		d.mintFor(t, key, transport, "other@customer.example", "Shop-other")
		// The same person is denied: the prefix is another.
		denied := d.post(t, key, "/v1/configurations/acme-customers:mintToken",
			fmt.Sprintf(`{"user":{"email":%q,"emailVerified":true,"name":"Ana","externalId":"x-%s"}}`, who.email, transport))
		if denied.reason != "CLAIM_NOT_ALLOWED" {
			t.Fatalf("%d %s", denied.status, denied.body)
		}

		lines, errs, err := finds(t, who.token+"\n", "--token", log)
		if err != nil || errs != "" || len(lines) != 1 {
			t.Fatalf("by token: %d lines, %s, %v", len(lines), errs, err)
		}
		var r audit.Record
		if err := json.Unmarshal([]byte(lines[0]), &r); err != nil {
			t.Fatal(err)
		}
		if r.Caller != "storefront" || r.Identity != "checkout" || r.ID != who.jti || r.Email != "" || r.ExternalID != "" {
			t.Errorf("the record is %+v", r)
		}
		shows(t, false, strings.Join(lines, ""), who.token, who.email, who.externalID, key)
		keyFile := filepath.Join(filepath.Dir(config), "audit.key")
		for name, c := range map[string]struct {
			args []string
			want int
		}{
			"record id":                 {[]string{"--record-id", r.RecordID, log}, 1},
			"jti":                       {[]string{"--jti", who.jti, log}, 1},
			"request id":                {[]string{"--request-id", who.requestID, log}, 1},
			"email":                     {[]string{"--email", who.email, "--key-file", keyFile, log}, 2},
			"email in another case":     {[]string{"--email", strings.ToUpper(who.email), "--config", config}, 2},
			"external id":               {[]string{"--external-id", who.externalID, "--config", config}, 1},
			"external id in lower case": {[]string{"--external-id", strings.ToLower(who.externalID), "--key-file", keyFile, log}, 1},
			"denied":                    {[]string{"--external-id", "x-" + transport, "--config", config}, 1},
			"all together": {[]string{"--record-id", r.RecordID, "--jti", who.jti, "--request-id", who.requestID,
				"--email", who.email, "--external-id", who.externalID, "--config", config}, 1},
		} {
			got, errs, err := finds(t, "", c.args...)
			if err != nil || errs != "" || len(got) != c.want || name != "denied" && !slices.Contains(got, lines[0]) {
				t.Errorf("%s by %s: %d lines, %s, %v", transport, name, len(got), errs, err)
			}
		}
		if got, _, err := finds(t, "", "--jti", who.jti, "--email", "other@customer.example", "--config", config); exit(err) != codeFailed || len(got) > 0 {
			t.Errorf("one flag matches, the other doesn't: %q, %v", got, err)
		}
		if transport == "grpc" { // the rest goes to a new file, and this one is compressed
			if err := os.Rename(log, log+".1"); err != nil {
				t.Fatal(err)
			}
			compress(t, log+".1")
			if got, _, err := finds(t, "", "--email", who.email, "--config", config); err != nil || len(got) != 2 {
				t.Errorf("in a rotated file: %d lines, %v", len(got), err)
			}
			d.stop()
			<-d.ended
			d = serve(t, config)
		}
	}
}

// compress makes a .gz of a file, as logrotate does.
func compress(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path+".gz", string(gzipped(t, string(text))))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// logOf writes records as a service would.
func logOf(t *testing.T, path string, s audit.Settings, key string, people ...audit.Person) {
	t.Helper()
	var b bytes.Buffer
	log := audit.New(&b, s, []byte(key))
	for _, who := range people {
		if err := log.Write(t.Context(), audit.Record{Decision: audit.Allow, Caller: "storefront"}, who); err != nil {
			t.Fatal(err)
		}
	}
	write(t, path, b.String())
}

// TestAuditFindFiles is about what files hold: people in the clear, hashes of several keys, torn
// lines, nothing.
func TestAuditFindFiles(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"old.key": auditKey + "-old", "new.key": auditKey, "short.key": "x", "empty.log": "\n\n", "cut.log.gz": "\x1f\x8bnothing"})
	at := func(name string) string { return filepath.Join(dir, name) }
	ana, bo := audit.Person{Email: "ana@customer.example", ExternalID: "Shop-1"}, audit.Person{Email: "bo@customer.example", ExternalID: "ana@customer.example"}
	logOf(t, at("old.log"), audit.Settings{}, auditKey+"-old", ana, bo)
	logOf(t, at("new.log"), audit.Settings{}, auditKey, ana)
	logOf(t, at("plain.log"), audit.Settings{PlainEmail: true}, "", ana, bo)
	logOf(t, at("nobody.log"), audit.Settings{}, "", ana)
	plain, err := readText(at("plain.log"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, at("torn.log"), plain[:50]+"\n\n"+plain+plain[:20])
	all := []string{at("old.log"), at("new.log"), at("plain.log"), at("nobody.log")}
	for _, c := range []struct {
		name  string
		stdin string
		args  []string
		code  int
		want  int
		says  string // on standard error, or as the error
	}{
		{"in the clear", "", append([]string{"--email", "Ana@customer.example"}, at("plain.log")), 0, 1, ""},
		{"all keys", "", append([]string{"--email", ana.Email, "--key-file", at("old.key"), "--key-file", at("new.key")}, all...), 0, 3, ""},
		{"one key", "", append([]string{"--external-id", "SHOP-1", "--key-file", at("new.key")}, all...), 0, 2, ""},
		{"an id that looks like an address", "", append([]string{"--external-id", ana.Email, "--key-file", at("old.key")}, all...), 0, 2, ""},
		{"no key", "", append([]string{"--email", ana.Email}, all...), 0, 1, "3 records name people by hashes only: give the key"},
		{"no key, nothing in the clear", "", append([]string{"--email", ana.Email}, at("new.log")), 1, 0, "1 records name people by hashes only: give the key"},
		{"another key", "", []string{"--email", ana.Email, "--key-file", at("old.key"), at("new.log")}, 1, 0, "nothing found in 1 records of 1 files, from "},
		{"nobody on record", "", []string{"--email", ana.Email, at("nobody.log"), at("empty.log")}, 1, 0, "nothing found in 1 records of 2 files"},
		{"no record", "", []string{"--email", ana.Email, at("empty.log")}, 1, 0, "have no records"},
		{"torn lines", "", []string{"--email", ana.Email, at("torn.log")}, 0, 1, "torn.log: passed over 2 lines that are no records"},
		{"standard input", plain, []string{"--email", bo.Email, "-"}, 0, 1, ""},
		{"compressed standard input", string(gzipped(t, plain)), []string{"--email", bo.Email, "-"}, 0, 1, ""},
		{"a file that isn't there", "", []string{"--email", ana.Email, at("gone.log"), at("plain.log")}, 1, 1, "gone.log: no such file"},
		{"a file that is no gzip", "", []string{"--email", ana.Email, at("cut.log.gz"), at("plain.log")}, 1, 1, "cut.log.gz: "},
		{"a short key", "", []string{"--email", ana.Email, "--key-file", at("short.key"), at("plain.log")}, 1, 0, "at least 32 are required"},
		{"no flag", "", []string{at("plain.log")}, 2, 0, "say what to find"},
		{"no file", "", []string{"--email", ana.Email}, 2, 0, "name the files of records, or --config"},
		{"token and records", "x", []string{"--token", "-"}, 2, 0, "standard input"},
		{"no token", " \n", []string{"--token", at("plain.log")}, 1, 0, "no token on standard input"},
	} {
		got, errs, err := finds(t, c.stdin, c.args...)
		if exit(err) != c.code || len(got) != c.want || !strings.Contains(errs+fmt.Sprint(err), c.says) || c.says == "" && errs != "" {
			t.Errorf("%s: code %d, %d lines, %s %v", c.name, exit(err), len(got), errs, err)
		}
	}

	// With --config and no file of records.
	config, _, _ := files(t)
	if _, _, err := finds(t, "", "--email", ana.Email, "--config", config); exit(err) != codeUsage || !strings.Contains(err.Error(), "its records go to stdout") {
		t.Errorf("records on standard output: %v", err)
	}
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestServersWarnOfRecordsWithoutPeople shows that serve and doctor warn where records don't say
// who was signed in, and that dev and the shipped quick start don't.
func TestServersWarnOfRecordsWithoutPeople(t *testing.T) {
	t.Parallel()
	const warning = "don't say who was signed in"
	config, _, _ := files(t)
	d := serve(t, config)
	if log := d.err.String(); !strings.Contains(log, warning) || !strings.Contains(log, "openssl rand") {
		t.Errorf("serve logs\n%s", log)
	}
	examined(t, codeNotable, []string{"--config", config}, `warning +\S+: audit: .*`+warning+`.*`)
	if log := dev(t).err.String(); strings.Contains(log, warning) {
		t.Errorf("dev logs\n%s", log)
	}
	if out, errs, err := invoke(t, "", "config", "check", "../../examples/quickstart.yaml"); err != nil || errs != "" {
		t.Errorf("the quick start: %s%s %v", out, errs, err)
	}
}
