package doctor

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/audit"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
)

// configuration is a configuration file. The test adds the caller's identity.
const configuration = `secrets: {source: file, file: {path: secrets.yaml}}
audit: {output: audit.log, plain_email: true}
configurations:
  - name: acme-customers
    secret: {path: sso/acme-customers}
    zendesk_sso:
      audiences: [end_user]
      brands: [{id: "360001", name: Acme, subdomain: acme}]
callers:
  - name: storefront
    identities:
      - api_key_sha256:
    grants:
      - configurations: ["*"]
        brands: ["*"]
        actions: [sign_in]
        roles: [unset]
        email_domains: {allow: ["*"]}
        return_to_hosts: ["*"]
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// uses returns audit records of an identity of the caller storefront, each so many days before now.
func uses(now time.Time, identity string, days ...int) (text string) {
	for _, n := range days {
		text += fmt.Sprintf(
			`{"schema":1,"time":%q,"transport":"grpc","decision":"allow","caller":"storefront",`+
				`"authenticated":"api_key","identity":%q}`+"\n",
			now.AddDate(0, 0, -n).Format(time.RFC3339), identity)
	}
	return text
}

// testTime is the present time of the tests.
var testTime = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// oldRecords are records of an identity that is unused for too long.
var oldRecords = uses(testTime, "checkout", 100)

// identityTest is an identity with audit records, and the finding about it.
type identityTest struct {
	notAfter string
	files    map[string]string // of records; those that end in .gz are compressed
	flags    []string          // --audit
	read     int64             // how many bytes may be read; 0: the default
	want     string            // the finding about the identity
}

// identityTests has records and flags for each finding about an identity.
var identityTests = map[string]identityTest{
	"ends soon": {
		"2026-03-27", nil, nil, 0,
		`warning identity checkout of caller storefront \(Team Checkout\): it ends at 2026-03-27T23:59:59Z`,
	},
	"ends later": {
		"2026-03-29", nil, nil, 0,
		`ok identities: whether each was used within 90 days isn't known: ` +
			`there is no file of records here, and --audit names none`,
	},
	"has ended": {
		"2026-03-13", nil, nil, 0,
		`warning \S+deskmint.yaml:\d+: callers\[0\].identities\[0\].not_after: has passed, .*`,
	},
	"used": {
		"", map[string]string{"audit.log": uses(testTime, "checkout", 89)}, nil, 0,
		`ok identities: records show that each of 1 was used within 90 days`,
	},
	"unused": {
		"", map[string]string{"audit.log": oldRecords}, nil, 0,
		`warning identity checkout of caller storefront \(Team Checkout\): ` +
			`the records show no use of it within 90 days`,
	},
	"young records": {
		"", map[string]string{"audit.log": uses(testTime, "another", 50)}, nil, 0,
		`ok identities: whether 1 of 1 were used within 90 days isn't known: ` +
			`the records that were read begin at 2026-01-23T15:09:26Z. These are not in them: identity checkout .*`,
	},
	"nameless records": {
		"", map[string]string{"audit.log": uses(testTime, "", 100)}, nil, 0,
		`ok identities: .* isn't known: the records here name no identity`,
	},
	"another caller's": {
		"",
		map[string]string{
			"audit.log": oldRecords + strings.ReplaceAll(uses(testTime, "checkout", 1), "storefront", "kiosk"),
		},
		nil, 0, `warning identity checkout .* no use .*`,
	},
	"refused": {
		"",
		map[string]string{"audit.log": oldRecords +
			strings.ReplaceAll(uses(testTime, "checkout", 1), `"caller"`, `"credential":"expired","caller"`)}, nil, 0,
		`warning identity checkout .* no use .*`,
	},
	"in a rotated file": {
		"", map[string]string{"audit.log": uses(testTime, "another", 1), "audit.log.1": uses(testTime, "checkout", 40)},
		nil,
		0, `ok identities: records show .*`,
	},
	"compressed": {
		"", map[string]string{
			"audit.log":      uses(testTime, "another", 1),
			"audit.log.2.gz": uses(testTime, "checkout", 40),
		},
		nil, 0, `ok identities: records show .*`,
	},
	"by date": {
		"",
		map[string]string{
			"audit.log":          uses(testTime, "another", 1),
			"audit.log-20260201": uses(testTime, "checkout", 40),
		},
		nil, 0, `ok identities: records show .*`,
	},
	"another's file": {
		"", map[string]string{
			"audit.log":     uses(testTime, "another", 1),
			"audit.logbook": uses(testTime, "checkout", 40),
		},
		nil, 0, `ok identities: .* isn't known: .*`,
	},
	"elsewhere": {
		"", map[string]string{"audit.log": oldRecords, "other/replica.log": uses(testTime, "checkout", 3)},
		[]string{"other/replica.log"}, 0, `ok identities: records show .*`,
	},
	"another replica's, too young": {
		"", map[string]string{"audit.log": oldRecords, "other.log": uses(testTime, "another", 3)},
		[]string{"other.log"}, 0,
		`ok identities: .* isn't known: the records that were read begin at 2026-03-11.*`,
	},
	"not there": {
		"", map[string]string{"audit.log": oldRecords}, []string{"gone.log"}, 0,
		`warning identity checkout .* no use .*`,
	},
	"a gap": {
		"",
		map[string]string{
			"audit.log":   uses(testTime, "another", 3),
			"audit.log.1": "\x1f\x8bcut",
			"audit.log.2": oldRecords,
		},
		nil, 0, `ok identities: .* isn't known: the records that were read begin at 2026-03-11.*`,
	},
	"torn": {
		"", map[string]string{"audit.log": oldRecords + oldRecords[:40] + "\n" + uses(testTime, "checkout", 3)}, nil, 0,
		`ok identities: records show .*`,
	},
	"too long": {
		"", map[string]string{"audit.log": oldRecords + uses(testTime, "another", 3)}, nil, int64(len(oldRecords)) + 20,
		`ok identities: .* isn't known: the records that were read begin at 2026-03-11.*`,
	},
	"its end is read": {
		"", map[string]string{"audit.log": oldRecords + uses(testTime, "checkout", 3)}, nil,
		int64(len(oldRecords)) + 20,
		`ok identities: records show .*`,
	},
	"too long to unzip": {
		"", map[string]string{"audit.log.gz": oldRecords + uses(testTime, "checkout", 3)}, nil,
		int64(len(oldRecords)) + 20,
		`ok identities: .* isn't known: the records here name no identity`,
	},
}

// TestDoctorIdentities checks the findings about identities that end soon, and about those that no
// record names.
func TestDoctorIdentities(t *testing.T) {
	t.Parallel()
	for name, c := range identityTests {

		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, hash := caller.NewKey()
			identity := "- name: checkout\n        owner: Team Checkout\n"
			if c.notAfter != "" {
				identity += "        not_after: " + c.notAfter + "\n"
			}
			dir := t.TempDir()
			write(t, filepath.Join(dir, "deskmint.yaml"),
				strings.Replace(configuration, "- api_key_sha256:", identity+"        api_key_sha256: "+hash, 1))
			for i, file := range slices.Sorted(maps.Keys(c.files)) { // the newest first
				text := c.files[file]
				if strings.HasSuffix(file, ".gz") {
					text = gzipped(t, text)
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(dir, file), text)
				at := testTime.AddDate(0, 0, -i)
				if err := os.Chtimes(filepath.Join(dir, file), at, at); err != nil {
					t.Fatal(err)
				}
			}
			e := &examination{now: func() time.Time { return testTime }, maxAuditBytes: cmp.Or(c.read, maxAuditBytes)}
			var flags []string
			for _, file := range c.flags {
				flags = append(flags, filepath.Join(dir, file))
			}
			s := e.configuration(filepath.Join(dir, "deskmint.yaml"))
			if s == nil {
				t.Fatalf("refused: %v", e.findings)
			}
			e.identities(t.Context(), s, flags)
			expected := regexp.MustCompile(`(?m)^` + c.want + `$`)
			var all strings.Builder
			for _, f := range e.findings {
				fmt.Fprintf(&all, "%s %s: %s\n", f.Level, f.Where, f.What)
			}
			if !expected.MatchString(all.String()) {
				t.Errorf("it finds\n%s, not %s", all.String(), c.want)
			}
			if name == "not there" && !strings.Contains(all.String(), "gone.log: no such file") {
				t.Errorf("it doesn't report the missing file:\n%s", all.String())
			}
		})
	}
}

// TestIdentitiesReadsNoMoreThanNeeded checks that no further file is read when every identity was
// found.
func TestIdentitiesReadsNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "new.log"), uses(now, "checkout", 1))
	s := &config.Snapshot{
		Audit:      audit.Settings{Output: "stdout"},
		Identities: []config.Identity{{Caller: "storefront", Identity: caller.Identity{Name: "checkout"}}},
	}
	e := &examination{now: func() time.Time { return now }, maxAuditBytes: maxAuditBytes}
	e.identities(context.Background(), s, []string{
		filepath.Join(dir, "new.log"), filepath.Join(dir, "never-opened.log"),
	})
	if len(e.findings) != 1 || e.findings[0].Level != secrets.OK {
		t.Errorf("it finds %+v", e.findings)
	}
}
