package vault_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
)

func TestReads(t *testing.T) {
	f := newFakeVault(t)
	source := newSource(t, appRole(t, f.URL), vault.Options{})
	status, err := source.Status(t.Context(), acme.Path)
	if err != nil {
		t.Fatal(err)
	}
	if status.Active != 2 || status.Pinned || status.Latest != 2 || status.Previous != 1 || status.Serial != 0 ||
		status.Revision != 0 || len(status.Versions) != 2 {
		t.Errorf("status %+v", status)
	}
	want := time.Date(2026, 1, 2, 9, 0, 0, 123456789, time.UTC)
	if !status.Versions[1].Created.Equal(want) || status.Versions[1].Gone {
		t.Errorf("version %+v", status.Versions[1])
	}
	key, err := source.Key(t.Context(), acme, 2)
	if err != nil {
		t.Fatal(err)
	}
	secretstest.CheckKey(t, key, canary)
	if got := f.last(); got.query != "version=2" || got.method != http.MethodGet || got.token != "t1" {
		t.Errorf("the value was read with %s ?%s and token %s", got.method, got.query, got.token)
	}
	if n := f.count("auth/approle/login"); n != 1 {
		t.Errorf("%d logins for two reads", n)
	}
}

func TestCustomMetadata(t *testing.T) {
	for _, tc := range []struct {
		custom string
		want   secrets.Status // without versions
		fault  string
	}{
		{custom: `null`, want: secrets.Status{Active: 5, Latest: 5, Previous: 4}},
		{custom: `{"owner": "acme"}`, want: secrets.Status{Active: 5, Latest: 5, Previous: 4}},
		{
			custom: `{"active_version": "3"}`,
			want:   secrets.Status{Active: 3, Pinned: true, Managed: true, Latest: 5, Previous: 2},
		},
		{
			custom: `{"active_version": "3", "previous_version": "1", "serial": "12"}`,
			want:   secrets.Status{Active: 3, Pinned: true, Managed: true, Latest: 5, Previous: 1, Serial: 12},
		},
		{
			custom: `{"active_version": "9"}`,
			want:   secrets.Status{Active: 9, Pinned: true, Managed: true, Latest: 5, Previous: 5},
		},
		{
			custom: `{"disabled": "true"}`,
			want:   secrets.Status{Active: 5, Latest: 5, Previous: 4, Disabled: true, DisabledBy: "by-hand"},
		},
		{
			custom: `{"disabled": "Yes"}`,
			want:   secrets.Status{Active: 5, Latest: 5, Previous: 4, Disabled: true, DisabledBy: "by-hand"},
		},
		{
			custom: `{"disabled": "` + canary + `"}`,
			want:   secrets.Status{Active: 5, Latest: 5, Previous: 4, Disabled: true, DisabledBy: "by-hand"},
		},
		{
			custom: `{"disabled": "2026-11-29T09:00:00Z"}`,
			want: secrets.Status{
				Active: 5, Latest: 5, Previous: 4, Disabled: true, DisabledBy: "2026-11-29T09:00:00Z",
			},
		},
		{custom: `{"serial": "3"}`, want: secrets.Status{Active: 5, Latest: 5, Previous: 4, Serial: 3, Managed: true}},
		{custom: `{"previous_version": "3"}`, want: secrets.Status{Active: 5, Latest: 5, Previous: 3, Managed: true}},
		{custom: `{"disabled": "false"}`, want: secrets.Status{Active: 5, Latest: 5, Previous: 4}},
		{custom: `{"disabled": ""}`, want: secrets.Status{Active: 5, Latest: 5, Previous: 4}},
		{custom: `{"active_version": ""}`, fault: "active_version"},
		{custom: `{"active_version": "0"}`, fault: "active_version"},
		{custom: `{"active_version": "` + canary + `"}`, fault: "active_version"},
		{custom: `{"active_version": "4294967296"}`, fault: "active_version"},
		{custom: `{"active_version": "2", "previous_version": "-1"}`, fault: "previous_version"},
		{custom: `{"active_version": "2", "serial": "x"}`, fault: "serial"},
	} {
		t.Run(tc.custom, func(t *testing.T) {
			f := newFakeVault(t)
			f.answers["secret/metadata/sso/acme"] = reply{200, metadata(5, "", tc.custom)}
			got, err := newSource(t, appRole(t, f.URL), vault.Options{}).Status(t.Context(), acme.Path)
			if tc.fault != "" {
				if !errors.Is(err, secrets.ErrUnusable) {
					t.Errorf("%v, want ErrUnusable", err)
				}
				secretstest.CheckErrorText(t, err, "secret/metadata/sso/acme", tc.fault)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Versions = nil
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestGoneVersions(t *testing.T) {
	now := newClock()
	for more, gone := range map[string]bool{
		`"deletion_time": "", "destroyed": false`:                     false,
		`"deletion_time": "", "destroyed": true`:                      true,
		`"deletion_time": "2026-06-30T23:00:00Z", "destroyed": false`: true,
		`"deletion_time": "2026-07-01T01:00:00Z", "destroyed": false`: false, // delete_version_after: not yet
		`"deletion_time": "some day", "destroyed": false`:             true,
	} {
		f := newFakeVault(t)
		f.answers["secret/metadata/sso/acme"] = reply{200, metadata(3, more, `null`)}
		status, err := newSource(t, appRole(t, f.URL), vault.Options{Now: now.Now}).Status(t.Context(), acme.Path)
		if err != nil || len(status.Versions) != 3 || status.Versions[2].Gone != gone || status.Active != 3 {
			t.Errorf("%s: %+v, %v, want gone %v, still active", more, status, err, gone)
		}
	}
}

func TestStatusCodes(t *testing.T) {
	for status, want := range map[int]struct {
		sentinel error
		says     string
	}{
		307: {nil, "redirects"},
		400: {nil, "malformed"},
		403: {secrets.ErrDenied, "permission denied (403): check the policy of the service's token"},
		404: {secrets.ErrNotFound, "no such secret (404): check path, mount"},
		405: {nil, "version 2"},
		412: {nil, "lags behind"},
		429: {nil, "quota"},
		472: {nil, "disaster recovery"},
		473: {nil, "performance standby"},
		500: {nil, "(500)"},
		502: {nil, "proxy"},
		503: {nil, "sealed"},
		418: {nil, "(418)"},
		204: {nil, "(204)"},
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			f := newFakeVault(t)
			body := `{"errors": ["` + canary + `"], "data": {"data": {"shared_secret": "` + canary + `"}}}`
			if status == 204 {
				body = ""
			}
			f.answers["secret/metadata/sso/acme"] = reply{status, body}
			f.answers["secret/data/sso/acme"] = reply{status, body}
			source := newSource(t, appRole(t, f.URL), vault.Options{})
			_, metadataErr := source.Status(t.Context(), acme.Path)
			_, dataErr := source.Key(t.Context(), acme, 2)
			secretstest.CheckErrorText(t, metadataErr, "vault: reading secret/metadata/sso/acme: ", want.says)
			secretstest.CheckErrorText(t, dataErr, "vault: reading secret/data/sso/acme version 2: ", want.says)
			for _, err := range []error{metadataErr, dataErr} {
				if want.sentinel == nil {
					checkUnavailable(t, err)
				} else if !errors.Is(err, want.sentinel) {
					t.Errorf("%v, want %v", err, want.sentinel)
				}
			}
			if n, again := f.count("secret/metadata/sso/acme"), map[int]int{403: 1}[status]; n != 1+again {
				t.Errorf("%d requests, want %d: only a 403 is tried again, with another token", n, 1+again)
			}
		})
	}
}

func TestValues(t *testing.T) {
	const gone = `"created_time": "2026-01-01T09:00:00Z", "version": 2`
	for _, tc := range []struct {
		name   string
		answer reply
		want   error // nil: unavailable
		says   string
	}{
		{
			"soft-deleted",
			reply{404, `{"data": {"data": null, "metadata": {` + gone +
				`, "deletion_time": "2026-02-01T09:00:00Z", "destroyed": false}}}`},
			secrets.ErrDeleted, "deleted",
		},
		{
			"destroyed",
			reply{404, `{"data": {"data": null, "metadata": {` + gone + `, "deletion_time": "", "destroyed": true}}}`},
			secrets.ErrDeleted, "deleted or destroyed",
		},
		{"missing", reply{404, `{"errors": []}`}, secrets.ErrNotFound, "no such secret (404)"},
		{"a page in place of Vault", reply{404, `<html>` + canary}, secrets.ErrNotFound, "(404)"},
		{
			"no data with success",
			reply{200, `{"data": {"data": null, "metadata": {` + gone + `}}}`}, secrets.ErrDeleted, "deleted",
		},
		{"no metadata with success", reply{200, `{"data": {"shared_secret": "` + canary + `"}}`}, nil, "version 2"},
		{"another version", reply{200, data(3, `{"shared_secret": "`+canary+`"}`)}, nil, "version 2"},
		{
			"field missing",
			reply{200, data(2, `{"other": "`+canary+`"}`)}, secrets.ErrUnusable, "no field shared_secret",
		},
		{
			"field is a number",
			reply{200, data(2, `{"shared_secret": 12345678901234567890123456789012}`)}, secrets.ErrUnusable,
			"no field shared_secret that is a string",
		},
		{
			"field is a map",
			reply{200, data(2, `{"shared_secret": {"`+canary+`": 1}}`)}, secrets.ErrUnusable,
			"no field shared_secret",
		},
		{
			"empty",
			reply{200, data(2, `{"shared_secret": ""}`)}, secrets.ErrUnusable,
			"field shared_secret: unusable: version 2 is empty",
		},
		{"too short", reply{200, data(2, `{"shared_secret": "`+canary[:31]+`"}`)}, secrets.ErrUnusable, "too short"},
		{
			"with a newline",
			reply{200, data(2, `{"shared_secret": "`+canary+`\n"}`)}, secrets.ErrUnusable, "white space",
		},
		{"not JSON", reply{200, canary}, nil, "not one of a KV engine"},
		{"half an answer", reply{200, data(2, `{"shared_secret": "`+canary)[:60]}, nil, "not one of a KV engine"},
		{
			"wrong types",
			reply{200, `{"data": {"data": "` + canary + `", "metadata": "` + canary + `"}}`}, nil,
			"not one of a KV engine",
		},
		{"nothing", reply{200, ""}, nil, "not one of a KV engine"},
		{
			"huge",
			reply{200, data(2, `{"filler": "`+strings.Repeat("x", 2<<20)+`", "shared_secret": "`+canary+`"}`)},
			nil, "too large",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFakeVault(t)
			f.answers["secret/data/sso/acme"] = tc.answer
			key, err := newSource(t, appRole(t, f.URL), vault.Options{}).Key(t.Context(), acme, 2)
			if !key.IsZero() {
				t.Error("there is a key")
			}
			secretstest.CheckErrorText(t, err, "vault: reading secret/data/sso/acme version 2", tc.says)
			if tc.want == nil {
				checkUnavailable(t, err)
			} else if !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestMetadataThatIsNone(t *testing.T) {
	for name, body := range map[string]string{
		"not JSON": canary, "nothing": "", "no data": `{"errors": ["` + canary + `"]}`,
		"KV version 1":  `{"data": {"shared_secret": "` + canary + `", "versions": "` + canary + `"}}`,
		"wrong numbers": `{"data": {"current_version": "` + canary + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeVault(t)
			f.answers["secret/metadata/sso/acme"] = reply{200, body}
			_, err := newSource(t, appRole(t, f.URL), vault.Options{}).Status(t.Context(), acme.Path)
			checkUnavailable(t, err)
			secretstest.CheckErrorText(t, err, "secret/metadata/sso/acme", "KV engine")
		})
	}
}

func TestPathsStayInTheMount(t *testing.T) {
	f := newFakeVault(t)
	source := newSource(t, appRole(t, f.URL), vault.Options{})
	for _, path := range []string{"../sys/mounts", "a/../../x", "", "/a", "a/", "a//b", "a\nb"} {
		_, err := source.Status(t.Context(), path)
		_, keyErr := source.Key(t.Context(), secrets.Ref{Path: path, Field: "k"}, 1)
		if !errors.Is(err, secrets.ErrUnusable) || !errors.Is(keyErr, secrets.ErrUnusable) {
			t.Errorf("%q: %v, %v", path, err, keyErr)
		}
	}
	if len(f.requests) != 0 {
		t.Errorf("sent %+v", f.requests)
	}
	// This path has special characters but is valid, and must be sent unchanged.
	f.answers["secret/metadata/a b/ü%2F?x#y"] = reply{200, metadata(1, "", `null`)}
	if _, err := source.Status(t.Context(), "a b/ü%2F?x#y"); err != nil {
		t.Error(err)
	}
}
