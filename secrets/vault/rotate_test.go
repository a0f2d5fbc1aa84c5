package vault_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/secretstest"
	"github.com/deskmint/deskmint/secrets/vault"
	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
)

// operatorPolicy returns the project's policy for operators.
func operatorPolicy(t *testing.T) string {
	t.Helper()
	rules, err := os.ReadFile("../../deploy/vault/operator.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return string(rules)
}

// TestRealRotation performs the acts on a real Vault. The operator's token has the
// documented policy. Each subtest has a different path.
func TestRealRotation(t *testing.T) {
	server := vaulttest.Start(t)
	server.Policy(t, "operator", operatorPolicy(t))
	server.Reader(t, "reader", "sso/")
	roleID, secretID := server.AppRole(t, "deskmint", "", "reader")
	// The settings have the service's login, as in its configuration file.
	settings := vault.Settings{
		Addresses: []string{server.Addr},
		Auth:      vault.Auth{Method: "approle", RoleID: roleID, SecretIDFile: credentialFile(t, secretID)},
	}
	t.Setenv("VAULT_TOKEN", server.Token(t, "1h", "operator"))
	for name, test := range map[string]func(*testing.T, *vaulttest.Server, vault.Settings){
		"a secret's life":            rotateLife,
		"other fields":               rotateOtherFields,
		"many stage at once":         rotateAtOnce,
		"a wiped pointer":            rotateWiped,
		"max_versions":               rotatePruning,
		"gone versions":              rotateGone,
		"a policy that is too small": rotatePolicies,
		"a wrong mount":              rotateMounts,
		"tokens":                     rotateTokens,
	} {
		t.Run(name, func(t *testing.T) { test(t, server, settings) })
	}
}

func rotator(t *testing.T, s vault.Settings, path string) *rotate.Rotator {
	t.Helper()
	w, err := vault.NewWriter(s, vault.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &rotate.Rotator{Store: w, Ref: secrets.Ref{Path: path, Field: "shared_secret"}}
}

// customMetadata returns the secret's custom metadata.
func customMetadata(t *testing.T, server *vaulttest.Server, path string) map[string]string {
	t.Helper()
	data := server.Do(t, "GET", "secret/metadata/"+path, nil)["data"].(map[string]any)
	all := map[string]string{}
	if m, ok := data["custom_metadata"].(map[string]any); ok {
		for k, v := range m {
			all[k] = v.(string)
		}
	}
	return all
}

// rawAnswer returns an undecoded answer of Vault, because decoding may change numbers.
func rawAnswer(t *testing.T, server *vaulttest.Server, path string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, server.Addr+"/v1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Vault-Token", server.RootToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func rotateLife(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	const path = "sso/life"
	r, ctx := rotator(t, settings, path), t.Context()
	var k *secrets.Keyring
	check := func(what string, active, staged secrets.Version, secret string, want map[string]string) {
		t.Helper()
		if k == nil {
			k = warm(t, newSource(t, settings, vault.Options{}), r.Ref)
		}
		held, err := refreshAndGet(t, k, r.Ref)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		key, _ := held.Key(0)
		secretstest.CheckKey(t, key, secret)
		if held.Status.Active != active || held.Status.Staged() != staged {
			t.Errorf("%s: the service sees %+v", what, held.Status)
		}
		if got := customMetadata(t, server, path); !maps.Equal(got, want) {
			t.Errorf("%s: custom metadata %v, want %v", what, got, want)
		}
	}
	secretstest.Must(r.Stage(ctx, []byte(first)))(t)
	check("first", 1, 0, first, map[string]string{"active_version": "1", "serial": "1"})
	server.PatchMetadata(t, path, map[string]string{"owner": "acme"})
	secretstest.Must(r.Stage(ctx, []byte(second)))(t)
	check("staged", 1, 2, first, map[string]string{"active_version": "1", "serial": "1", "owner": "acme"})
	secretstest.Must(r.Activate(ctx, 0))(t)
	check("activated", 2, 0, second,
		map[string]string{"active_version": "2", "previous_version": "1", "serial": "2", "owner": "acme"})
	secretstest.Must(r.Rollback(ctx))(t)
	check("rolled back", 1, 2, first,
		map[string]string{"active_version": "1", "previous_version": "2", "serial": "3", "owner": "acme"})
	secretstest.Must(r.Activate(ctx, 0))(t)
	check("activated again", 2, 0, second,
		map[string]string{"active_version": "2", "previous_version": "1", "serial": "4", "owner": "acme"})
	secretstest.Must(r.Replace(ctx, []byte(third)))(t)
	check("replaced", 3, 0, third,
		map[string]string{"active_version": "3", "previous_version": "2", "serial": "5", "owner": "acme"})

	secretstest.Must(r.Disable(ctx))(t)
	if _, err := refreshAndGet(t, k, r.Ref); !errors.Is(err, secrets.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	secretstest.Must(r.Enable(ctx))(t)
	check(
		"enabled",
		3,
		0,
		third,
		map[string]string{
			"active_version":   "3",
			"previous_version": "2",
			"serial":           "7",
			"owner":            "acme",
			"disabled":         "false",
		},
	)

	_, err := r.Stage(ctx, []byte(second))
	secretstest.CheckError(t, err, rotate.ErrRefused, "vault: secret/metadata/sso/life", "version 2")
	report, err := r.Status(ctx, first[:6])
	if err != nil || len(report.Details) != 4 || report.Details[3].Match == nil || !*report.Details[3].Match ||
		*report.Details[1].Match || report.Keeps != 10 || report.Details[0].Fate != "deleted" {
		t.Errorf("status %+v, %v", report, err)
	}

	// A secret that was created with Vault's own tools gets its pointer with the first Stage.
	server.Put(t, "sso/life2", map[string]string{"shared_secret": first})
	server.Put(t, "sso/life2", map[string]string{"shared_secret": second})
	r2 := rotator(t, settings, "sso/life2")
	secretstest.Must(r2.Stage(ctx, []byte(third)))(t)
	want := map[string]string{"active_version": "2", "previous_version": "1", "serial": "1"}
	if got := customMetadata(t, server, "sso/life2"); !maps.Equal(got, want) {
		t.Errorf("pinned: %v", got)
	}
}

// rotateOtherFields checks that the other fields of a version don't change, because they don't
// belong to Deskmint.
func rotateOtherFields(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	const path = "sso/fields"
	server.Do(t, "POST", "secret/data/"+path, map[string]any{"data": map[string]any{
		"shared_secret": first,
		"number":        uint64(9007199254740993),
		"nested":        map[string]any{"a": []int{1}},
		"text":          "<&>\u2028",
	}})
	r := rotator(t, settings, path)
	secretstest.Must(r.Replace(t.Context(), []byte(second)))(t)
	got := server.Do(t, "GET", "secret/data/"+path+"?version=2", nil)["data"].(map[string]any)["data"].(map[string]any)
	if got["shared_secret"] != second || fmt.Sprint(got["nested"]) != "map[a:[1]]" || got["text"] != "<&>\u2028" {
		t.Errorf("version 2 is %v", got)
	}
	before := rawAnswer(t, server, "secret/data/"+path+"?version=1")
	after := rawAnswer(t, server, "secret/data/"+path+"?version=2")
	number := regexp.MustCompile(`"number":[^,}]+`)
	if number.FindString(before) == "" || number.FindString(before) != number.FindString(after) {
		t.Errorf("a number was changed: %s, %s", number.FindString(before), number.FindString(after))
	}
}

// rotateAtOnce checks that one operator succeeds and the others get an error if many operators
// stage at the same time.
func rotateAtOnce(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	for _, path := range []string{"sso/at-once", "sso/at-once-first"} {
		if path == "sso/at-once" {
			secretstest.Must(rotator(t, settings, path).Stage(t.Context(), []byte(first)))(t)
		}
		var all sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			r := rotator(t, settings, path)
			all.Go(func() { _, errs[i] = r.Stage(t.Context(), fmt.Appendf(nil, "%s-%d", second, i)) })
		}
		all.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				secretstest.CheckError(t, err, secrets.ErrConflict, path, "check the status")
			}
		}
		status, err := newSource(t, settings, vault.Options{}).Status(t.Context(), path)
		if err != nil || won == 0 || int(status.Latest) != won+map[string]int{"sso/at-once": 1}[path] ||
			!status.Pinned || status.Active != 1 {
			t.Errorf("%s: %d won, status %+v, %v", path, won, status, err)
		}
	}
}

func rotateWiped(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	const path = "sso/wiped"
	r, ctx := rotator(t, settings, path), t.Context()
	secretstest.Must(r.Stage(ctx, []byte(first)))(t)
	secretstest.Must(r.Replace(ctx, []byte(second)))(t)
	secretstest.Must(r.Rollback(ctx))(t)
	k := warm(t, newSource(t, settings, vault.Options{}), r.Ref)

	server.SetMetadata(t, path, map[string]string{"owner": "terraform"})
	held, err := refreshAndGet(t, k, r.Ref)
	if err != nil || held.Status.Active != 1 {
		t.Fatalf("the service no longer signs: %+v, %v", held, err)
	}
	_, err = r.Stage(ctx, []byte(third))
	secretstest.CheckError(t, err, rotate.ErrRefused, "its metadata were wiped", "/readyz")
	_, err = r.Activate(ctx, 0)
	secretstest.CheckError(t, err, rotate.ErrRefused, "Name the version that shall sign")
	_, err = r.Rollback(ctx)
	secretstest.CheckError(t, err, rotate.ErrRefused, "there is no pointer")

	secretstest.Must(r.Activate(ctx, 1))(t)
	if held, err = refreshAndGet(t, k, r.Ref); err != nil || held.Status.Active != 1 || !held.Status.Pinned {
		t.Fatalf("not pinned: %+v, %v", held, err)
	}
	if s, _ := k.State(r.Ref); s.Fault != nil {
		t.Errorf("the alarm has not ended: %v", s.Fault)
	}
	secretstest.Must(r.Activate(ctx, 2))(t)
	if held, err = refreshAndGet(t, k, r.Ref); err != nil || held.Status.Active != 2 {
		t.Errorf("the service doesn't follow any more: %+v, %v", held, err)
	}
	if got := customMetadata(t, server, path); got["owner"] != "terraform" {
		t.Errorf("custom metadata %v", got)
	}

	// A pointer that can't be read is corrected in the same way, and doesn't affect the kill
	// switch.
	server.PatchMetadata(t, path, map[string]string{"active_version": "two"})
	_, err = r.Stage(ctx, []byte(third))
	secretstest.CheckError(t, err, rotate.ErrRefused, "its pointer can't be read", "custom_metadata.active_version")
	secretstest.Must(r.Disable(ctx))(t)
	if _, err := refreshAndGet(t, k, r.Ref); !errors.Is(err, secrets.ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	_, err = r.Enable(ctx)
	secretstest.CheckError(t, err, rotate.ErrRefused, "First activate the version that shall sign")
	secretstest.Must(r.Activate(ctx, 1))(t)
	if _, err := refreshAndGet(t, k, r.Ref); !errors.Is(err, secrets.ErrDisabled) {
		t.Errorf("activated, not enabled: %v", err)
	}
	secretstest.Must(r.Enable(ctx))(t)
	if held, err = refreshAndGet(t, k, r.Ref); err != nil || held.Status.Active != 1 {
		t.Errorf("not corrected: %+v, %v", held, err)
	}
}

func rotateGone(t *testing.T, server *vaulttest.Server, settings vault.Settings) {
	const path = "sso/gone-rotated"
	r, ctx := rotator(t, settings, path), t.Context()
	secretstest.Must(r.Stage(ctx, []byte(first)))(t)
	secretstest.Must(r.Stage(ctx, []byte(second)))(t)

	server.Delete(t, path, 2)
	_, err := r.Activate(ctx, 2)
	secretstest.CheckError(t, err, rotate.ErrRefused, "version 2 was deleted: undelete it")
	_, err = r.Activate(ctx, 0)
	secretstest.CheckError(t, err, rotate.ErrRefused, "nothing is staged")
	server.Undelete(t, path, 2)
	secretstest.Must(r.Activate(ctx, 0))(t)
	server.Destroy(t, path, 1)
	_, err = r.Rollback(ctx)
	secretstest.CheckError(t, err, rotate.ErrRefused, "version 1 was destroyed")
	// A value may be staged again if the version that had it can't be read any more.
	secretstest.Must(r.Stage(ctx, []byte(first)))(t)

	// If the newest version is deleted while it is active, the next one can still be staged.
	secretstest.Must(r.Activate(ctx, 3))(t)
	server.Delete(t, path, 3)
	plan := secretstest.Must(r.Stage(ctx, []byte(third)))(t)
	if notes := fmt.Sprint(plan.Notes); !strings.Contains(notes, "nothing signs until") {
		t.Errorf("notes %s", notes)
	}
	secretstest.Must(r.Activate(ctx, 0))(t)
	report, err := r.Status(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	fates := map[secrets.Version]string{}
	for _, d := range report.Details {
		fates[d.Version] = d.Fate
	}
	if want := map[secrets.Version]string{1: "destroyed", 2: "", 3: "deleted", 4: ""}; !maps.Equal(fates, want) {
		t.Errorf("fates %v", fates)
	}

	server.Do(t, "POST", "secret/metadata/sso/dated", map[string]any{"delete_version_after": "1h"})
	plan = secretstest.Must(rotator(t, settings, "sso/dated").Stage(ctx, []byte(first)))(t)
	if notes := fmt.Sprint(plan.Notes); !strings.Contains(notes, "version 1 is to be deleted at 20") {
		t.Errorf("notes %s", notes)
	}

	server.Remove(t, path)
	plan = secretstest.Must(r.Stage(ctx, []byte(second)))(t)
	if plan.Version != 1 || len(plan.Steps) != 2 {
		t.Errorf("created again: %+v", plan)
	}
}
