package main

import (
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/certs/certstest"
)

// runDoctor runs doctor and returns its output. It checks the exit code, and that each pattern
// matches a whole line.
func runDoctor(t *testing.T, code int, args []string, want ...string) string {
	t.Helper()
	out, logged, err := invoke(t, "", append([]string{"doctor"}, args...)...)
	if exit(err) != code || logged != "" {
		t.Errorf("code %d, want %d; %v %s", exit(err), code, err, logged)
	}
	for _, line := range want {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
			t.Errorf("no line %s", line)
		}
	}
	if err != nil && err.Error() != "" && code != codeUsage {
		t.Errorf("the error repeats the output: %q", err)
	}
	// Each fault and each warning says what to do.
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		if wrong := strings.HasPrefix(line, "fault ") ||
			strings.HasPrefix(line, "warning "); wrong != (i+1 < len(lines) &&
			strings.HasPrefix(lines[i+1], "         → ")) {
			t.Errorf("wrong or missing advice: %s", line)
		}
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", out)
	}
	checkShown(t, false, out, customersSecret, nextSecret, tokenStart)
	return out
}

func TestDoctorOnFile(t *testing.T) {
	t.Parallel()
	config, secrets, key := files(t)
	write(t, config, readFile(t, config)+audited)
	out := runDoctor(t, 0, []string{"--config", config, "--starts-with", "acme-customers=MARK"},
		`ok +\S+deskmint.yaml: the file is valid: 1 configuration`,
		`ok +secrets: 1 of 1 have an active version that can sign`,
		`ok +secret of acme-customers: match: version 1 begins as given`,
		`ok +audit.output: records go to a stream of the process`,
		`note +brand hosts were not looked up: --online does`,
		`0 faults, 0 warnings`)
	checkShown(t, false, out, key, "MARK")
	runDoctor(t, 1, []string{"--config", config, "--starts-with", "acme-customers=MARC"},
		`fault +secret of acme-customers: no match: version 1 begins otherwise.*`)

	write(t, secrets, secretsYAML("MAR,"+customersSecret))
	runDoctor(t, 0, []string{"--config", config, "--starts-with", "acme-customers=MAR,MA"},
		`ok +secret of acme-customers: match: .*`)

	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		code int
		want string
	}{
		"no such secret": {
			"secrets: {}\n", 0o600, 1, `fault +secret sso/acme-customers:shared_secret: .*no such secret`,
		},
		"too short": {secretsYAML("MARKER-short"), 0o600, 1, `fault +secret .*too short.*`},
		"readable":  {secretsYAML(customersSecret), 0o604, 1, `fault +secret .*chmod 600 .*`},
		"switched off": {
			strings.Replace(secretsYAML(customersSecret), "    versions", "    disabled: true\n    versions", 1), 0o600,
			3, `warning +secret .*switched off.*`,
		},
		"a bad next one": {
			strings.Replace(secretsYAML(customersSecret), "    versions:\n",
				"    active: 1\n    versions:\n      2: {shared_secret: MARKER-short}\n", 1), 0o600, 3,
			`warning +secret .*the staged version can't sign: .*`,
		},
		"pasted wrongly": {
			secretsYAML("ZENDESK_SECRET=" + customersSecret), 0o600, 3,
			`warning +secret .*version 1 may have been pasted wrongly: the value begins with a name, as in KEY=VALUE`,
		},
		"a next one that is pasted wrongly": {
			strings.Replace(secretsYAML(customersSecret), "    versions:\n",
				"    active: 1\n    versions:\n      2: {shared_secret: '\""+nextSecret+"\"'}\n", 1), 0o600, 3,
			`warning +secret .*version 2 may have been pasted wrongly: the value begins or ends with a quotation mark`,
		},
	} {
		write(t, secrets, c.text)
		if err := os.Chmod(secrets, c.mode); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		checkShown(t, false, runDoctor(t, c.code, []string{"--config", config}, c.want), "MARKER-short")
	}
}

// TestDoctorUsage checks that errors of the command line don't quote it.
func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	config, _, _ := files(t)
	for start, want := range map[string]string{
		"acme-customers=" + customersSecret: "at most 8 characters",
		customersSecret + "=MARK":           "no configuration has that name",
		"MARKER":                            "give NAME=CHARACTERS",
	} {
		out, _, err := invoke(t, "", "doctor", "--config", config, "--starts-with", start)
		if exit(err) != codeUsage || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "MARK") ||
			out != "" {
			t.Errorf("%v %s, want %q", err, out, want)
		}
	}
	if _, _, err := invoke(t, "", "doctor"); exit(err) != codeUsage {
		t.Errorf("no file: %v", err)
	}
}

// TestDoctorConfiguration checks the findings about configuration files that have faults, and about
// those that have warnings only.
func TestDoctorConfiguration(t *testing.T) {
	t.Parallel()
	_, hash := caller.NewKey()
	dir := folder(t, map[string]string{
		"broken.yaml": strings.NewReplacer("audiences: [end_user]", "audiences: [everybody]", "subdomain: acme",
			"subdomain: a_b").Replace(onFile(hash) + audited),
		"warned.yaml":  twoConfigurations(hash) + audited,
		"wide.yaml":    onFile(hash) + audited,
		"secrets.yaml": secretsYAML(customersSecret),
	})
	at := func(name string) []string { return []string{"--config", filepath.Join(dir, name)} }
	runDoctor(t, 1, at("broken.yaml"),
		`fault +\S+broken.yaml:\d+: configurations\[0\].zendesk_sso.audiences.*: .*`,
		`fault +\S+broken.yaml:\d+: configurations\[0\].zendesk_sso.brands.*: .*`, `2 faults, 0 warnings`)
	runDoctor(t, 1, at("nowhere.yaml"), `fault +\S+nowhere.yaml: can't be read: no such file or directory`)
	runDoctor(t, 3, at("warned.yaml"), `warning +\S+warned.yaml:\d+: configurations\[1\].secret: is the same as in .*`,
		`0 faults, 1 warning`)
	if err := os.Chmod(filepath.Join(dir, "wide.yaml"), 0o666); err != nil {
		t.Fatal(err)
	}
	runDoctor(t, 1, at("wide.yaml"), `fault +the configuration file: \S+ its permissions \(0666\) let others change it`)

	out, _, err := invoke(t, "", append([]string{"doctor", "--json"}, at("broken.yaml")...)...)
	var parsed struct {
		Faults   int
		Findings []struct{ Level, Where, What, Do string }
	}
	if exit(err) != 1 || json.Unmarshal([]byte(out), &parsed) != nil || parsed.Faults != 2 ||
		len(parsed.Findings) != 2 ||
		parsed.Findings[0].Level != "fault" || parsed.Findings[0].Do == "" {
		t.Errorf("as JSON: %v %s", err, out)
	}
}

// doctorCertificateTest is a change of a valid certificate, and the finding about it.
type doctorCertificateTest struct {
	change   func(*x509.Certificate)
	stranger bool // whether an unrelated certificate follows in its file
	flags    []string
	code     int
	want     string
}

// doctorCertificateTests has a certificate for each finding.
var doctorCertificateTests = map[string]doctorCertificateTest{
	"good": {
		func(*x509.Certificate) {}, false,
		[]string{"--server-name", "deskmint.internal", "--server-name", "127.0.0.1"}, 3,
		`ok +tls.certificate: \S+: good until \S+, for deskmint.internal, 127.0.0.1`,
	},
	"expired": {
		func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(-1, 0, 0), time.Now().Add(-time.Hour)
		}, false, nil, 1, `fault +tls.certificate: .* has expired on .*`,
	},
	"ends soon": {
		func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, 29) }, false, nil, 3,
		`warning +tls.certificate: .* expires on .*`,
	},
	"not yet": {
		func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, false, nil, 1,
		`fault +tls.certificate: .* isn't valid before .*`,
	},
	"no name": {
		func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }, false, nil, 1,
		`fault +tls.certificate: .* no DNS name and no address.*`,
	},
	"another name": {
		func(*x509.Certificate) {}, false, []string{"--server-name", "other.internal"}, 1,
		`fault +tls.certificate: .* isn't good for other.internal`,
	},
	"a client's": {
		func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, false, nil, 1,
		`fault +tls.certificate: .* isn't one for a server`,
	},
	"another chain": {
		func(*x509.Certificate) {}, true, nil, 3,
		`warning +tls.certificate: .*certificate 1 in it wasn't issued by certificate 2`,
	},
}

func TestDoctorCertificates(t *testing.T) {
	t.Parallel()
	authority := certstest.New(t, "Authority")
	stranger := certstest.New(t, "Stranger")
	template := func(change func(*x509.Certificate)) x509.Certificate {
		c := x509.Certificate{
			DNSNames:    []string{"deskmint.internal"},
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotAfter:    time.Now().AddDate(1, 0, 0),
		}
		change(&c)
		return c
	}
	_, hash := caller.NewKey()
	for name, c := range doctorCertificateTests {

		t.Run(name, func(t *testing.T) {
			pair, behind := authority.Issue(t, template(c.change)), ""
			if c.stranger {
				behind = stranger.PEM
			}
			dir := folder(t, map[string]string{
				"deskmint.yaml": "tls: {certificate: tls.crt, key: tls.key, client_ca: clients.pem}\n" + onFile(hash),
				"tls.crt":       pair.Certificate + behind, "tls.key": pair.Key, "clients.pem": authority.PEM,
				"secrets.yaml": secretsYAML(customersSecret),
			})
			out := runDoctor(t, c.code, append([]string{"--config", filepath.Join(dir, "deskmint.yaml")}, c.flags...),
				c.want,
				// The authority expires in a little less than 30 days.
				`warning +tls.client_ca: \S+: the certificate of "CN=Authority" expires on .*`,
				`ok +tls.key: \S+ its permissions \(0600\) are narrow enough`)
			checkShown(t, false, out, strings.Split(pair.Key, "\n")[1])
			if err := os.Chmod(filepath.Join(dir, "tls.key"), 0o644); err != nil {
				t.Fatal(err)
			}
			runDoctor(t, c.code, append([]string{"--config", filepath.Join(dir, "deskmint.yaml")}, c.flags...),
				`warning +tls.key: \S+ its permissions \(0644\) let every user of this machine read it`)
		})
	}
}

// TestDoctorAudit checks the findings about audit.output, and that the check leaves no file.
func TestDoctorAudit(t *testing.T) {
	t.Parallel()
	_, hash := caller.NewKey()
	for name, c := range map[string]struct {
		output string
		code   int
		want   string
	}{
		"new":      {"audit.log", 0, `ok +audit.output: \S+audit.log: records can be written`},
		"there":    {"secrets.yaml", 0, `ok +audit.output: \S+: records can be written`},
		"a folder": {".", 1, `fault +audit.output: .*it is a folder`},
		"nowhere":  {"/proc/1/audit.log", 1, `fault +audit.output: .*`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{
				"deskmint.yaml": "audit: {plain_email: true, output: " + c.output + "}\n" + onFile(hash),
				"secrets.yaml":  secretsYAML(customersSecret),
			})
			runDoctor(t, c.code, []string{"--config", filepath.Join(dir, "deskmint.yaml")}, c.want)
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
				t.Errorf("files after the check: %v %v", entries, err)
			}
		})
	}
}

// TestDoctorOnline checks one endpoint that accepts connections and one that doesn't.
func TestDoctorOnline(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, hash := caller.NewKey()
	for address, c := range map[string]struct {
		code int
		want string
	}{
		listener.Addr().String(): {0, `ok +endpoint http://\S+/access/jwt: it can be reached`},
		freeAddress(t):           {1, `fault +endpoint http://\S+/access/jwt: no connection: .*refused`},
	} {
		text := strings.Replace(onFile(hash)+audited, "audiences: [end_user]",
			"audiences: [end_user]\n      endpoint: http://"+address, 1)
		dir := folder(t, map[string]string{"deskmint.yaml": text, "secrets.yaml": secretsYAML(customersSecret)})
		runDoctor(t, c.code, []string{"--config", filepath.Join(dir, "deskmint.yaml"), "--online"}, c.want)
	}
}

// TestDoctorOwners checks that doctor finds private keys that another user can replace, and that it
// says what to do.
func TestDoctorOwners(t *testing.T) {
	t.Parallel()
	path, _, _ := files(t)
	dir := filepath.Join(filepath.Dir(path), "keys")
	must(t, os.Mkdir(dir, 0o755))
	write(t, filepath.Join(dir, "audit.key"), strings.Repeat("k", 32))
	must(t, os.Chmod(dir, 0o777))
	write(t, path, "audit: {email_key_file: keys/audit.key}\n"+readFile(t, path))
	runDoctor(t, 1, []string{"--config", path},
		`fault +audit.email_key_file: \S+ other users can replace the file, because the folder \S+/keys has the `+
			`permissions 0777`,
		`.*chmod go-w \S+/keys`)
	must(t, os.Chmod(dir, 0o755))
	if out := runDoctor(t, 0, []string{"--config", path}); strings.Contains(out, "other users") {
		t.Errorf("after the correction: %s", out)
	}
}

// TestDoctorClockReferences checks the findings about the hosts of clock.references.
func TestDoctorClockReferences(t *testing.T) {
	t.Parallel()
	for offset, c := range map[time.Duration]struct {
		code int
		want string
	}{
		0:                {0, `ok +clock.references: \S+ its clock is [01]s (ahead of|behind) ours`},
		time.Minute:      {3, `warning +clock.references: \S+ its clock is (59s|1m0s|1m1s) ahead of ours`},
		-5 * time.Minute: {1, `fault +clock.references: \S+ its clock is (4m59s|5m0s|5m1s) behind ours`},
		-1:               {3, `warning +clock.references: \S+ it doesn't answer with a date`},
	} {
		reference := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(offset).UTC().Format(http.TimeFormat))
		}))
		if offset == -1 {
			reference.Close()
		}
		path, _, _ := files(t)
		write(t, path, audited+"clock: {references: ['"+reference.URL+"']}\n"+readFile(t, path))
		runDoctor(t, c.code, []string{"--config", path}, c.want)
		reference.Close()
	}
}
