package vault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/deskmint/deskmint/secrets"
)

// lockoutAdvice says how to keep one wrong secret id from locking out other replicas. A secret id
// for each replica doesn't help, because Vault counts the refused logins of a role id.
func (a Auth) lockoutAdvice() string {
	mount := strings.TrimSuffix(strings.TrimPrefix(a.loginPath(), "auth/"), "/login")
	return "where replicas share a role, set lockout_disable for the method (vault auth tune " +
		"-user-lockout-disable=true " + mount + "/), or give each replica its own role; its own secret id isn't " +
		"enough, because Vault locks the role id"
}

// login reports that the login works.
func (d diagnosis) login() {
	a := d.source.session.auth
	what := "the login by method " + a.Method + " works"
	if a.Method == "approle" {
		what += "; five refused logins lock its role: " + a.lockoutAdvice()
	}
	d.say(secrets.OK, "secrets.vault.auth", what, "")
}

// failedLogin reports a login that failed, and what to do.
func (d diagnosis) failedLogin(ctx context.Context, err error) {
	what, do := "the login fails: "+err.Error(), d.source.session.auth.credentialAdvice()
	var refusal *loginRefusal
	if errors.As(err, &refusal) {
		switch refusal.status {
		case http.StatusOK:
			do = "vault write auth/MOUNT/role/ROLE token_num_uses=0, or create the token without -use-limit"
		case http.StatusForbidden, http.StatusNotFound:
			what, do = d.forbiddenLogin(ctx, what, do)
		}
	}
	d.fault("secrets.vault.auth", what, do)
}

// credentialAdvice returns what to do about a login that was refused because of the credential.
func (a Auth) credentialAdvice() string {
	switch a.Method {
	case "token":
		return "check the token: that it hasn't expired, wasn't revoked, belongs to namespace, and has Vault's " +
			"policy default"
	case "approle":
		return "check role_id and the secret id's file, that Vault has the role, and that the role permits this " +
			"machine's address. Five refused logins lock the role, and each run of this command is a login; " +
			a.lockoutAdvice()
	}
	return "check role and the JWT's file, that Vault has the role, and that the role permits the JWT's subject and " +
		"audience; for kubernetes also that Vault reaches the API server"
}

// forbiddenLogin returns the finding about a login that was answered with 403 or 404. There are two
// causes. Nothing is mounted at the path, as in a wrong namespace, or Vault has locked the role. A
// login as a role that doesn't exist distinguishes them: a mounted method answers it with 400.
func (d diagnosis) forbiddenLogin(ctx context.Context, what, do string) (newWhat, newDo string) {
	a := d.source.session.auth
	if a.Method == "token" {
		return what, do
	}
	unknown := "deskmint-doctor-" + strings.ToLower(rand.Text())
	probe, err := d.source.wire.write(ctx, a.act()+" as a role that doesn't exist", "", a.loginPath(),
		map[string]string{"role_id": unknown, "secret_id": unknown, "role": unknown, "jwt": unknown})
	switch {
	case err != nil || tryNextServer(probe.status):
		return what, do
	case probe.status != http.StatusBadRequest:
		namespace := "it isn't set, and Vault Enterprise and HCP need it (admin at HCP)"
		if s := d.source.wire.namespace; s != "" {
			namespace = fmt.Sprintf("it is %q", s)
		}
		return what + ": a role that doesn't exist gets the same answer, so no auth method is mounted there",
			"correct secrets.vault.auth.mount, or secrets.vault.namespace: " + namespace
	case a.Method == "approle":
		return "Vault has locked the role after refused logins, and now refuses right secret ids too (" + what + ")",
			"find the replica with a wrong secret id, whose log says so, and correct its file. Then unlock the role " +
				"with vault write -force sys/locked-users/MOUNT_ACCESSOR/unlock/ROLE_ID (vault read " +
				"sys/locked-users shows both), and send SIGHUP to the replicas that are refused; or wait, because " +
				"a lock ends after 15 minutes. To prevent it, " + a.lockoutAdvice()
	}
	return what, do
}
