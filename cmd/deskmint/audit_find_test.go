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

// recordFiles returns the files of a service that keeps records with hashes in audit.log. Its
// caller may send external ids that begin with Shop-. The name of the caller's key is checkout.
func recordFiles(t *testing.T) (config, key string) {
	t.Helper()
	key, hash := caller.NewKey()
	text := strings.NewReplacer(
		"- api_key_sha256:", "- name: checkout\n        api_key_sha256:",
		"roles: [unset, end_user]", "roles: [unset, end_user]\n        claims: {external_id: {prefix: Shop-}}",
	).Replace(onFile(hash)) + "audit: {output: audit.log, email_key_file: audit.key}\n"
	dir := folder(t, map[string]string{
		"deskmint.yaml": text,
		"secrets.yaml":  secretsYAML(customersSecret),
		"audit.key":     auditKey,
	})
	return filepath.Join(dir, "deskmint.yaml"), key
}

// auditFind runs audit find, and returns the records that it prints, one for each line.
func auditFind(t *testing.T, stdin string, args ...string) (lines []string, errs string, err error) {
	t.Helper()
	out, errs, err := invoke(t, stdin, append([]string{"audit", "find"}, args...)...)
	for line := range strings.Lines(out) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines, errs, err
}

// signInIDs identifies one sign-in, as the caller of a running service can.
type signInIDs struct{ email, externalID, token, jti, requestID string }

// mintFor signs a person in through either transport.
func (d *deskmint) mintFor(t *testing.T, key, transport, email, externalID string) signInIDs {
	t.Helper()
	in := signInIDs{email: email, externalID: externalID}
	if transport == "grpc" {
		request := anaRequest("acme-customers")
		request.User.Email, request.User.ExternalId = email, externalID
		var header metadata.MD
		r, err := pb.NewTokenServiceClient(d.dial(t)).MintToken(withKey(t.Context(), key), request,
			grpc.Header(&header))
		if err != nil {
			t.Fatal(err)
		}
		in.token, in.jti, in.requestID = r.GetToken(), r.GetJti(), header.Get("x-request-id")[0]
		return in
	}
	body := fmt.Sprintf(`{"user":{"email":%q,"emailVerified":true,"name":"Ana","externalId":%q}}`, email, externalID)
	a := d.post(t, key, "/v1/configurations/acme-customers:mintToken", body)
	var parsed struct{ Jti string }
	if err := json.Unmarshal([]byte(a.body), &parsed); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	in.token, in.jti, in.requestID = a.token, parsed.Jti, a.header.Get("X-Request-Id")
	return in
}

// TestAuditFind signs people in at a running service through both transports, and causes one
// denial. It finds the records by each of the six flags, also after a log rotation.
func TestAuditFind(t *testing.T) {
	t.Parallel()
	config, key := recordFiles(t)
	d := serve(t, config)
	log := filepath.Join(filepath.Dir(config), "audit.log")
	for _, transport := range []string{"grpc", "http"} {
		who := d.mintFor(t, key, transport, transport+"@xn--bcher-kva.example", "Shop-"+transport)
		d.mintFor(t, key, transport, "other@customer.example", "Shop-other")
		// The same person is denied, because this external id has another prefix.
		denied := d.post(t, key, "/v1/configurations/acme-customers:mintToken",
			fmt.Sprintf(`{"user":{"email":%q,"emailVerified":true,"name":"Ana","externalId":"x-%s"}}`, who.email,
				transport))
		if denied.reason != "CLAIM_NOT_ALLOWED" {
			t.Fatalf("%d %s", denied.status, denied.body)
		}

		lines, errs, err := auditFind(t, who.token+"\n", "--token", log)
		if err != nil || errs != "" || len(lines) != 1 {
			t.Fatalf("by token: %d lines, %s, %v", len(lines), errs, err)
		}
		var r audit.Record
		if err := json.Unmarshal([]byte(lines[0]), &r); err != nil {
			t.Fatal(err)
		}
		if r.Caller != "storefront" || r.Identity != "checkout" || r.ID != who.jti || r.Email != "" ||
			r.ExternalID != "" {
			t.Errorf("the record is %+v", r)
		}
		checkShown(t, false, strings.Join(lines, ""), who.token, who.email, who.externalID, key)
		checkAuditFlags(t, transport, config, who, r.RecordID, lines[0])
		if got, _, err := auditFind(t, "", "--jti", who.jti, "--email", "other@customer.example",
			"--config", config); exit(err) != codeFailed || len(got) > 0 {
			t.Errorf("one flag matches, the other doesn't: %q, %v", got, err)
		}
		if transport == "grpc" { // the rest goes to a new file, and this one is compressed
			if err := os.Rename(log, log+".1"); err != nil {
				t.Fatal(err)
			}
			compress(t, log+".1")
			if got, _, err := auditFind(t, "", "--email", who.email, "--config", config); err != nil || len(got) != 2 {
				t.Errorf("in a rotated file: %d lines, %v", len(got), err)
			}
			d.stop()
			<-d.ended
			d = serve(t, config)
		}
	}
}

// checkAuditFlags finds a record by each flag. line is the record.
func checkAuditFlags(t *testing.T, transport, config string, who signInIDs, recordID, line string) {
	t.Helper()
	log := filepath.Join(filepath.Dir(config), "audit.log")
	keyFile := filepath.Join(filepath.Dir(config), "audit.key")
	for name, c := range map[string]struct {
		args []string
		want int
	}{
		"record id":             {[]string{"--record-id", recordID, log}, 1},
		"jti":                   {[]string{"--jti", who.jti, log}, 1},
		"request id":            {[]string{"--request-id", who.requestID, log}, 1},
		"email":                 {[]string{"--email", who.email, "--key-file", keyFile, log}, 2},
		"email in another case": {[]string{"--email", strings.ToUpper(who.email), "--config", config}, 2},
		"email in Unicode": {
			[]string{"--email", strings.Replace(who.email, "xn--bcher-kva", "BÜCHER", 1), "--config", config}, 2,
		},
		"external id": {[]string{"--external-id", who.externalID, "--config", config}, 1},
		"external id in lower case": {
			[]string{"--external-id", strings.ToLower(who.externalID), "--key-file", keyFile, log}, 1,
		},
		"denied": {[]string{"--external-id", "x-" + transport, "--config", config}, 1},
		"all together": {[]string{"--record-id", recordID, "--jti", who.jti, "--request-id", who.requestID,
			"--email", who.email, "--external-id", who.externalID, "--config", config}, 1},
	} {
		got, errs, err := auditFind(t, "", c.args...)
		if err != nil || errs != "" || len(got) != c.want || name != "denied" && !slices.Contains(got, line) {
			t.Errorf("%s by %s: %d lines, %s, %v", transport, name, len(got), errs, err)
		}
	}
}

// compress replaces a file by a gzipped one, as logrotate does.
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

// writeRecords writes records as a service does.
func writeRecords(t *testing.T, path string, s audit.Settings, key string, people ...audit.Person) {
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

var (
	auditAna = audit.Person{Email: "ana@customer.example", ExternalID: "Shop-1"}
	auditBo  = audit.Person{Email: "bo@customer.example", ExternalID: "ana@customer.example"}
)

// inAllFiles returns arguments that search every file with records.
func inAllFiles(args ...string) []string {
	return append(args, "old.log", "new.log", "plain.log", "no-people.log")
}

// auditFileTest is a command line of audit find, and its result. Files are relative to the folder
// of the test.
type auditFileTest struct {
	name  string
	stdin string // PLAIN and GZIPPED are the contents of plain.log
	args  []string
	code  int
	want  int
	says  string // on standard error, or as the error
}

// auditFileTests has a command line for each kind of record, file and error.
var auditFileTests = []auditFileTest{
	{"in the clear", "", []string{"--email", "Ana@customer.example", "plain.log"}, 0, 1, ""},
	{
		"all keys", "",
		inAllFiles("--email", auditAna.Email, "--key-file", "old.key", "--key-file", "new.key"), 0,
		3, "",
	},
	{"one key", "", inAllFiles("--external-id", "SHOP-1", "--key-file", "new.key"), 0, 2, ""},
	{
		"an id that looks like an address", "",
		inAllFiles("--external-id", auditAna.Email, "--key-file", "old.key"), 0, 2, "",
	},
	{
		"no key", "", inAllFiles("--email", auditAna.Email), 0, 1,
		"people are named by hashes only in 3 records: give the key",
	},
	{
		"no key, nothing in the clear", "", []string{"--email", auditAna.Email, "new.log"}, 1, 0,
		"people are named by hashes only in 1 record: give the key",
	},
	{
		"another key", "", []string{"--email", auditAna.Email, "--key-file", "old.key", "new.log"}, 1, 0,
		"nothing found in 1 record of 1 file, from ",
	},
	{
		"records without people", "", []string{"--email", auditAna.Email, "no-people.log", "empty.log"}, 1, 0,
		"nothing found in 1 record of 2 files",
	},
	{"no record", "", []string{"--email", auditAna.Email, "empty.log"}, 1, 0, "have no records"},
	{
		"torn lines", "", []string{"--email", auditAna.Email, "torn.log"}, 0, 1,
		"torn.log: passed over what is no record: 2 lines",
	},
	{"standard input", "PLAIN", []string{"--email", auditBo.Email, "-"}, 0, 1, ""},
	{"compressed standard input", "GZIPPED", []string{"--email", auditBo.Email, "-"}, 0, 1, ""},
	{
		"a file that isn't there", "", []string{"--email", auditAna.Email, "gone.log", "plain.log"}, 1, 1,
		"gone.log: no such file",
	},
	{
		"a file that is no gzip", "", []string{"--email", auditAna.Email, "cut.log.gz", "plain.log"}, 1, 1,
		"cut.log.gz: ",
	},
	{
		"a short key", "", []string{"--email", auditAna.Email, "--key-file", "short.key", "plain.log"}, 1, 0,
		"is too short: 1 of at least 32 bytes",
	},
	{"no flag", "", []string{"plain.log"}, 2, 0, "say what to find"},
	{"no file", "", []string{"--email", auditAna.Email}, 2, 0, "name the files of records, or --config"},
	{"token and records", "x", []string{"--token", "-"}, 2, 0, "standard input"},
	{"no token", " \n", []string{"--token", "plain.log"}, 1, 0, "no token on standard input"},
}

// TestAuditFindFiles searches files with people in the clear, hashes of several keys, torn lines,
// and no records.
func TestAuditFindFiles(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"old.key":    auditKey + "-old",
		"new.key":    auditKey,
		"short.key":  "x",
		"empty.log":  "\n\n",
		"cut.log.gz": "\x1f\x8bnothing",
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	writeRecords(t, at("old.log"), audit.Settings{}, auditKey+"-old", auditAna, auditBo)
	writeRecords(t, at("new.log"), audit.Settings{}, auditKey, auditAna)
	writeRecords(t, at("plain.log"), audit.Settings{PlainEmail: true}, "", auditAna, auditBo)
	writeRecords(t, at("no-people.log"), audit.Settings{}, "", auditAna)
	plain, err := readText(at("plain.log"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, at("torn.log"), plain[:50]+"\n\n"+plain+plain[:20])
	for _, c := range auditFileTests {
		stdin := strings.NewReplacer("PLAIN", plain, "GZIPPED", string(gzipped(t, plain))).Replace(c.stdin)
		args := slices.Clone(c.args)
		for i, arg := range args {
			if slices.Contains([]string{".log", ".key", ".gz"}, filepath.Ext(arg)) {
				args[i] = at(arg)
			}
		}
		got, errs, err := auditFind(t, stdin, args...)
		if exit(err) != c.code || len(got) != c.want || !strings.Contains(errs+fmt.Sprint(err), c.says) ||
			c.says == "" && errs != "" {
			t.Errorf("%s: code %d, %d lines, %s %v", c.name, exit(err), len(got), errs, err)
		}
	}

	// The configuration names no file of records.
	config, _, _ := files(t)
	if _, _, err := auditFind(t, "", "--email", auditAna.Email, "--config", config); exit(err) != codeUsage ||
		!strings.Contains(err.Error(), "its records go to stdout") {
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

// TestServersWarnOfRecordsWithoutPeople checks that serve and doctor warn if the records don't name
// the people who are signed in. dev and the shipped quick start don't warn.
func TestServersWarnOfRecordsWithoutPeople(t *testing.T) {
	t.Parallel()
	const warning = "don't say who was signed in"
	config, _, _ := files(t)
	d := serve(t, config)
	if log := d.err.String(); !strings.Contains(log, warning) || !strings.Contains(log, "openssl rand") {
		t.Errorf("serve logs\n%s", log)
	}
	runDoctor(t, codeNotable, []string{"--config", config}, `warning +\S+: audit: .*`+warning+`.*`)
	if log := dev(t).err.String(); strings.Contains(log, warning) {
		t.Errorf("dev logs\n%s", log)
	}
	if out, errs, err := invoke(t, "", "config", "check", "../../examples/quickstart.yaml"); err != nil || errs != "" {
		t.Errorf("the quick start: %s%s %v", out, errs, err)
	}
}
