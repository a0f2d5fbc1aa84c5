package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets/vault/vaulttest"
	"github.com/deskmint/deskmint/service/caller"
)

// doctorSubject is a service with its files and its secret in Vault. It has no fault at first.
type doctorSubject struct {
	vault *vaulttest.Server
	name  string // of its folder at Vault, its role and its policy
	path  string // of its secret
	dir   string
	flags []string
}

func newDoctorSubject(t *testing.T, vault *vaulttest.Server, address string) *doctorSubject {
	t.Helper()
	name := "doctor-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	p := &doctorSubject{vault: vault, name: name, path: name + "/acme"}
	_, hash := caller.NewKey()
	p.dir = folder(t, map[string]string{
		"deskmint.yaml": strings.Replace(onVault(address, hash)+audited, "sso/acme-customers", p.path, 1),
	})
	p.flags = []string{"--config", filepath.Join(p.dir, "deskmint.yaml")}
	vault.Put(t, p.path, map[string]string{"shared_secret": customersSecret})
	vault.PatchMetadata(t, p.path, map[string]string{"active_version": "1", "serial": "1"})
	p.policy(t, "")
	p.login(t, "")
	return p
}

// policy gives the role the policy of deploy/vault/service.hcl, and in addition more.
func (p *doctorSubject) policy(t *testing.T, more string) {
	t.Helper()
	p.vault.Policy(t, p.name,
		strings.ReplaceAll(readFile(t, "../../deploy/vault/service.hcl"), "sso/", p.name+"/")+more)
}

func (p *doctorSubject) login(t *testing.T, ttl string) {
	t.Helper()
	roleID, secretID := p.vault.AppRole(t, p.name, ttl, p.name)
	write(t, filepath.Join(p.dir, "role-id"), roleID+"\n")
	write(t, filepath.Join(p.dir, "secret-id"), secretID+"\n")
}

// edit replaces a text in the configuration file.
func (p *doctorSubject) edit(t *testing.T, text, by string) {
	t.Helper()
	config := filepath.Join(p.dir, "deskmint.yaml")
	write(t, config, strings.Replace(readFile(t, config), text, by, 1))
}

// pathOf changes the path of the secret in the configuration file.
func (p *doctorSubject) pathOf(t *testing.T, path string) {
	t.Helper()
	p.edit(t, "{path: "+p.path+"}", "{path: "+path+"}")
}

// byToken makes the service log in with the given token.
func (p *doctorSubject) byToken(t *testing.T, token string) {
	t.Helper()
	config := filepath.Join(p.dir, "deskmint.yaml")
	write(t, config,
		strings.Replace(readFile(t, config),
			"auth: {method: approle, role_id_file: role-id, secret_id_file: secret-id}",
			"auth: {method: token, token_file: token}", 1))
	write(t, filepath.Join(p.dir, "token"), token)
}

// tokenOf creates a token with settings of Vault's auth/token/create.
func (p *doctorSubject) tokenOf(t *testing.T, settings map[string]any) string {
	t.Helper()
	settings["policies"] = []string{p.name}
	answer := p.vault.Do(t, http.MethodPost, "auth/token/create", settings)
	return answer["auth"].(map[string]any)["client_token"].(string)
}

// doctorVaultTest is a change of a service without faults, and the findings about it.
type doctorVaultTest struct {
	change func(*testing.T, *doctorSubject)
	code   int
	want   []string
}

const wide = `more than it should: `

// doctorVaultTests has the findings about policies, tokens and secrets.
var doctorVaultTests = map[string]doctorVaultTest{
	"right": {func(*testing.T, *doctorSubject) {}, 0, []string{
		`ok +secrets.vault.addresses: 127.0.0.1:\d+: the server answers and is unsealed`,
		`ok +secrets.vault.auth: the login by method approle works; five refused logins lock its role: .*` +
			`vault auth tune -user-lockout-disable=true approle/.*`,
		`ok +auth/token/lookup-self: the token lasts for (1h0m0s|59m59s), renewable: true`,
		`ok +sys/capabilities-self: the token may read what the configuration names; ` +
			`it may neither write there nor .*`,
		`ok +clock: Vault's clock is \d+s (ahead of|behind) ours`,
		`ok +secrets: 1 of 1 have an active version that can sign`,
		`ok +secret of acme-customers: match: version 1 begins as given`, `0 faults, 0 warnings`}},
	"may write": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "secret/data/`+p.path+`" { capabilities = ["read", "create", "update"] }`)
	}, 1, []string{
		`fault +secret/data/\S+/acme: the token may create, update here, ` + wide + `a secret of the configuration`,
		`1 fault, 0 warnings`,
	}},
	"may delete": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "secret/destroy/*" { capabilities = ["update"] }`)
	}, 1, []string{`fault +secret/destroy/\S+/acme: the token may update here, .*`}},
	"may list": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "secret/metadata/*" { capabilities = ["list"] }`)
	}, 3, []string{ // the * also matches paths that the token can't read
		`warning +secret/metadata/: the token may list here, ` + wide + `the names of all secrets`}},
	"may list in its folder": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "secret/metadata/`+p.name+`/*" { capabilities = ["read", "list"] }
			path "secret/data/`+p.name+`/*" { capabilities = ["read", "list"] }`)
	}, 3, []string{
		`warning +secret/metadata/\S+/acme: the token may list here, ` + wide + `a secret of the configuration`,
		`0 faults, \d+ warnings?`,
	}},
	"reads by a wildcard": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "secret/+/`+p.name+`/*" { capabilities = ["read"] }`)
	}, 0, []string{`0 faults, 0 warnings`}},
	"reads all of Vault": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "*" { capabilities = ["read"] }`)
	}, 1, []string{
		`fault +sys/raw/\S+: the token may read here, ` + wide + `Vault's raw storage`,
		`fault +sys/storage/raft/snapshot: the token may read here, ` + wide + `snapshots of Vault's whole storage`,
	}},
	"reads everything": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "secret/data/*" { capabilities = ["read"] }`)
	}, 1, []string{
		`fault +secret/data/deskmint-doctor-\S+: the token may read here, ` + wide +
			`secrets that the configuration doesn't name`,
	}},
	"rules Vault": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "sys/policies/*" { capabilities = ["create", "update"] }`)
	}, 1, []string{
		`fault +sys/policies/acl/\S+: the token may create, update here, ` + wide + `Vault's policies`,
	}},
	"may do anything": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }`)
	}, 1, []string{
		`fault +sys/seal: .*`, `fault +auth/token/create: .*`, `fault +deskmint-doctor-\S+: .* other mounts`,
	}},
	"a root token": {func(t *testing.T, p *doctorSubject) { p.byToken(t, p.vault.RootToken) }, 1,
		[]string{
			`fault +auth/token/lookup-self: the token is a root token: .*`,
			`fault +sys/seal: the token may root here.*`,
		}},
	"may not read": {func(t *testing.T, p *doctorSubject) {
		p.vault.Policy(t, p.name, `path "secret/metadata/`+p.path+`" { capabilities = ["read"] }`)
	}, 1, []string{
		`fault +secret/data/\S+/acme: the token may not read a secret of the configuration`,
		` +→ give the policy of the service's role the capability read at secret/data/\S+/acme \(.*`,
		`fault +secret \S+: .*permission denied.*`,
		` +→ give the policy of the service's role the capability read at secret/metadata/\S+ and secret/data/\S+ .*`,
	}},
	"the path with the mount": {func(t *testing.T, p *doctorSubject) {
		p.pathOf(t, "secret/data/"+p.path)
	}, 1, []string{
		`fault +secret/data/secret/data/\S+: the token may not read a secret of the configuration`,
		` +→ secret.path is relative to the mount, .*: write path: doctor-\S+/acme in the configuration, .*`,
		`fault +secret secret/data/\S+: .*permission denied.*`,
	}},
	"the path with the mount and a wide policy": {func(t *testing.T, p *doctorSubject) {
		p.policy(t, `path "secret/*" { capabilities = ["read"] }`)
		p.pathOf(t, "secret/"+p.path)
	}, 1, []string{
		`fault +secret secret/doctor-\S+: .*no such secret.*`,
		` +→ secret.path is relative to the mount, .*: write path: doctor-\S+/acme in the configuration, .*`,
	}},
	"a role of limited uses": {func(t *testing.T, p *doctorSubject) {
		p.vault.Do(t, http.MethodPost, "auth/approle/role/"+p.name, map[string]any{"token_num_uses": 3})
	}, 1, []string{
		`fault +secrets.vault.auth: the login fails: .*the token has a limit of uses \(3\), .*`,
		` +→ .*token_num_uses=0.*`,
	}},
	"a token of limited uses": {func(t *testing.T, p *doctorSubject) {
		p.byToken(t, p.tokenOf(t, map[string]any{"period": "1h", "num_uses": 50}))
	}, 1, []string{`fault +secrets.vault.auth: the login fails: .*the token has a limit of uses \(49\), .*`}},
	"a wrong secret id": {func(t *testing.T, p *doctorSubject) {
		write(t, filepath.Join(p.dir, "secret-id"), "MARKER-wrong")
	}, 1, []string{
		`fault +secrets.vault.auth: the login fails: .*refused: check the role and the credential \(400\)`,
		` +→ check role_id and the secret id's file.*each run of this command is a login.*lockout_disable.*`,
	}},
	"a locked role": {func(t *testing.T, p *doctorSubject) {
		for range 5 {
			p.vault.RefuseLogin(t, strings.TrimSpace(readFile(t, filepath.Join(p.dir, "role-id"))))
		}
	}, 1, []string{
		`fault +secrets.vault.auth: Vault has locked the role after refused logins, .*`,
		` +→ .*sys/locked-users/MOUNT_ACCESSOR/unlock/ROLE_ID.*lockout_disable.*its own role.*`,
	}},
	"no auth method there": {func(t *testing.T, p *doctorSubject) {
		p.edit(t, "method: approle", "mount: nowhere, method: approle")
	}, 1, []string{
		`fault +secrets.vault.auth: .*\(403\): a role that doesn't exist gets the same answer, so no auth method .*`,
		` +→ correct secrets.vault.auth.mount, or secrets.vault.namespace: it isn't set, .*`,
	}},
	"wrong role": {func(t *testing.T, p *doctorSubject) { write(t, filepath.Join(p.dir, "role-id"), "nobody") }, 1,
		[]string{
			`fault +secrets.vault.auth: the login fails: vault: logging in at auth/approle/login: refused.*`,
			`ok +clock: .*`,
		}},
	"no credential": {func(t *testing.T, p *doctorSubject) { write(t, filepath.Join(p.dir, "secret-id"), "") }, 1,
		[]string{`fault +secrets.vault.auth: the login fails: .*secret-id is empty`}},
	"no secret": {
		func(t *testing.T, p *doctorSubject) { p.vault.Remove(t, p.path) }, 1, []string{
			`fault +secret \S+: .*no such secret.*`,
		},
	},
	"deleted": {
		func(t *testing.T, p *doctorSubject) { p.vault.Delete(t, p.path, 1) }, 1, []string{
			`fault +secret \S+: .*deleted.*`,
		},
	},
	"another": {func(t *testing.T, p *doctorSubject) {
		p.vault.Put(t, p.path, map[string]string{"shared_secret": "x" + nextSecret})
		p.vault.PatchMetadata(t, p.path, map[string]string{"active_version": "2", "serial": "2"})
	}, 1, []string{`fault +secret of acme-customers: no match: version 2 begins otherwise.*`}},
	"no pointer": {func(t *testing.T,
		p *doctorSubject) {
		p.vault.SetMetadata(t, p.path, map[string]string{"owner": "acme"})
	}, 3, []string{
		`warning +secret \S+: unpinned: version 1 signs because it is the newest, .*`}},
	"a pointer that was lost": {func(t *testing.T,
		p *doctorSubject) {
		p.vault.SetMetadata(t, p.path, map[string]string{"serial": "3"})
	}, 1, []string{
		`fault +secret \S+: .*no active_version: .deskmint secret activate NAME --version N. pins .*`}},
	"switched off": {func(t *testing.T,
		p *doctorSubject) {
		p.vault.PatchMetadata(t, p.path, map[string]string{"disabled": "yes"})
	}, 3, []string{
		`warning +secret \S+: it is switched off: nothing is signed with it`}},
	"short leases": {
		func(t *testing.T, p *doctorSubject) { p.login(t, "30s") }, 3, []string{
			`warning +auth/token/lookup-self: the token lasts for .*`,
		},
	},
	"a token without renewal": {func(t *testing.T, p *doctorSubject) {
		p.byToken(t, p.tokenOf(t, map[string]any{"ttl": "1h", "renewable": false}))
	}, 3, []string{`warning +auth/token/lookup-self: the token ends in .* and can't be renewed: .*`}},
	"a token with a maximum": {func(t *testing.T, p *doctorSubject) {
		p.byToken(t, p.tokenOf(t, map[string]any{"ttl": "1h"}))
	}, 3, []string{`warning +auth/token/lookup-self: the token is renewed only up to its maximum.*`}},
	"a periodic token": {func(t *testing.T, p *doctorSubject) {
		p.byToken(t, p.tokenOf(t, map[string]any{"period": "1h"}))
	}, 0, []string{`ok +auth/token/lookup-self: the token lasts for .*`}},
}

// TestDoctorOnVault checks that the policy that comes with Deskmint has no findings. It then checks
// the findings about other policies, tokens and secrets.
func TestDoctorOnVault(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	vault.AppRole(t, "first", "") // mounts the method once, before the parallel tests
	for name, c := range doctorVaultTests {

		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDoctorSubject(t, vault, vault.Addr)
			c.change(t, p)
			out := runDoctor(t, c.code, append(p.flags, "--starts-with", "acme-customers=MARKER"), c.want...)
			checkShown(t, false, out, "MARKER", vault.RootToken, "hvs.")
			if id := strings.TrimSpace(readFile(t, filepath.Join(p.dir, "secret-id"))); id != "" {
				checkShown(t, false, out, id)
			}
		})
	}
}

// TestDoctorVaultUnavailable checks the findings about a Vault that is sealed, one that doesn't
// answer, and one behind a proxy with another clock.
func TestDoctorVaultUnavailable(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	at := func(offset time.Duration) string {
		var proxy vaultProxy
		proxy.setTarget(vault.Addr)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			proxy.ServeHTTP(clockWriter{w, time.Now().Add(offset)}, r)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	for offset, c := range map[time.Duration]struct {
		code int
		want string
	}{
		-time.Minute:    {3, `warning +clock: Vault's clock is (59s|1m0s|1m1s) behind ours`},
		5 * time.Minute: {1, `fault +clock: Vault's clock is (4m59s|5m0s|5m1s) ahead of ours`},
	} {
		runDoctor(t, c.code, newDoctorSubject(t, vault, at(offset)).flags, c.want)
	}
	p := newDoctorSubject(t, vault, vault.Addr)
	config := filepath.Join(p.dir, "deskmint.yaml")
	good := readFile(t, config)
	write(t, config, strings.Replace(good, "addresses: [", `addresses: ["http://`+freeAddress(t)+`", `, 1))
	runDoctor(t, 3, p.flags, `warning +secrets.vault.addresses: 127.0.0.1:\d+: vault: reading sys/health: .*refused.*`,
		`ok +secrets.vault.auth: .*`)
	write(t, config, good)

	vault.Do(t, http.MethodPut, "sys/seal", nil)
	out := runDoctor(t, 1, p.flags, `fault +secrets.vault.addresses: 127.0.0.1:\d+: the server is sealed`,
		` +→ vault operator unseal`, `1 fault, 0 warnings`)
	if strings.Contains(out, "secret "+p.path) {
		t.Errorf("every secret repeats it: %s", out)
	}
	write(t, config, strings.Replace(good, vault.Addr, "http://"+freeAddress(t), 1))
	runDoctor(t, 1, p.flags,
		`fault +secrets.vault.addresses: 127.0.0.1:\d+: vault: reading sys/health: .*no connection.*refused.*`)
}

// TestDoctorNamespace checks the finding about a Vault that answers 403 outside of the right
// namespace, as Vault Enterprise and HCP do. The Vault of the tests has no namespaces.
func TestDoctorNamespace(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	var proxy vaultProxy
	proxy.setTarget(vault.Addr)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Namespace") != "admin/sso" && r.URL.Path != "/v1/sys/health" {
			http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p := newDoctorSubject(t, vault, server.URL)
	const mount = ` +→ correct secrets.vault.auth.mount, or secrets.vault.namespace: `
	runDoctor(t, 1, p.flags, `fault +secrets.vault.auth: .*no auth method is mounted there`,
		mount+`it isn't set, and Vault Enterprise and HCP need it .*`)
	p.edit(t, "vault: {", "vault: {namespace: elsewhere, ")
	runDoctor(t, 1, p.flags, mount+`it is "elsewhere"`)
	p.edit(t, "namespace: elsewhere", "namespace: admin/sso")
	runDoctor(t, 0, p.flags, `ok +secrets.vault.auth: .*`)

	p.byToken(t, p.tokenOf(t, map[string]any{"period": "1h"}))
	p.edit(t, "namespace: admin/sso", "namespace: elsewhere")
	runDoctor(t, 1, p.flags, `fault +secrets.vault.auth: .*\(403\)`, ` +→ check the token: .*belongs to namespace.*`)
}

// clockWriter sets another time in the header Date.
type clockWriter struct {
	http.ResponseWriter
	now time.Time
}

// WriteHeader implements [http.ResponseWriter].
func (d clockWriter) WriteHeader(code int) {
	d.Header().Set("Date", d.now.UTC().Format(http.TimeFormat))
	d.ResponseWriter.WriteHeader(code)
}
