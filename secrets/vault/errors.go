package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/deskmint/deskmint/secrets"
)

// No text of an answer from Vault ever becomes part of an error. Vault's answers can contain the
// secret, and net/http and encoding/json quote answers that they can't parse. An error contains the
// Vault path and a fixed sentence instead.

// An explanation describes a status code for an operator. Without a sentinel it means that the
// store is unavailable.
type explanation struct {
	sentinel error
	text     string
}

// readErrors are the explanations for reads, for which Vault has authenticated the client.
var readErrors = map[int]explanation{
	http.StatusTemporaryRedirect: {nil, "a standby that redirects, which is not followed: list every server in " +
		"addresses"},
	http.StatusBadRequest:         {nil, "refused as malformed: check the mount and the path"},
	http.StatusForbidden:          {secrets.ErrDenied, "check the policy of the service's token, mount and namespace"},
	http.StatusNotFound:           {secrets.ErrNotFound, "check path, mount (a KV engine of version 2) and namespace"},
	http.StatusMethodNotAllowed:   {nil, "not offered there: the mount must be a KV engine of version 2"},
	http.StatusPreconditionFailed: {nil, "the replica lags behind"},
	http.StatusTooManyRequests:    {nil, "too many requests: a quota of Vault's"},
	472:                           {nil, "a standby for disaster recovery, which serves nothing"},
	473:                           {nil, "a performance standby that can't serve this"},
	http.StatusServiceUnavailable: {nil, "sealed, starting, or without a leader"},
}

// loginErrors are the explanations for logins and renewals. A refusal of those says nothing about
// the secret. Vault answers a Kubernetes login with 403 if the API server is unavailable.
var loginErrors = map[int]explanation{
	http.StatusBadRequest: {nil, "refused: check the role and the credential"},
	http.StatusForbidden: {nil, "refused: check the credential, auth.mount and namespace, and the policy default for " +
		"a token"},
	http.StatusNotFound: {nil, "nothing there: check auth.mount and namespace"},
}

// appRoleErrors are the explanations for AppRole logins. Vault answers a wrong role id or secret id
// with 400, and a locked role like a path where nothing is mounted with 403.
var appRoleErrors = map[int]explanation{
	http.StatusBadRequest: {nil, "refused: check the role and the credential"},
	http.StatusForbidden: {nil, "refused: the role is locked after refused logins (list: sys/locked-users), or " +
		"auth.mount or namespace is wrong"},
	http.StatusNotFound: {nil, "nothing there: check auth.mount and namespace"},
}

// capabilityErrors are the explanations for requests for the token's capabilities. Only a success
// and a 403 say something about the secret.
var capabilityErrors = map[int]explanation{
	http.StatusBadRequest:       {nil, "refused as malformed"},
	http.StatusNotFound:         {nil, "nothing there: check namespace"},
	http.StatusMethodNotAllowed: {nil, "not offered there: check addresses"},
}

// statusError returns the error for an answer with a status other than success.
func statusError(act string, status int, table map[int]explanation) error {
	s, ok := table[status]
	if !ok {
		s, ok = readErrors[status]
	}
	switch {
	case ok && s.sentinel != nil:
		return fmt.Errorf("vault: %s: %w (%d): %s", act, s.sentinel, status, s.text)
	case ok:
		return fmt.Errorf("vault: %s: %s (%d)", act, s.text, status)
	case status >= 500:
		return fmt.Errorf("vault: %s: a fault of Vault's or of a proxy's (%d)", act, status)
	}
	return fmt.Errorf("vault: %s: an answer that Vault shouldn't give (%d)", act, status)
}

// malformed returns the error for a success with a body of another form than Vault's.
func malformed(act string) error {
	return fmt.Errorf("vault: %s: the answer is not one of a KV engine of version 2, or too large", act)
}

// transportError returns the error for a request without an answer. It names only the kind of err,
// because err may quote an answer. It also omits local ports, so that the same outage always has
// the same text.
func transportError(act, host string, err error) error {
	var (
		dns       *net.DNSError
		op        *net.OpError
		record    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		timeout   net.Error
	)
	text := "no proper answer"
	switch {
	case errors.Is(err, context.Canceled):
		text = "the request was cancelled"
	case errors.As(err, &dns):
		text = "the name can't be resolved"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		text = "the server doesn't speak TLS: check the address"
	case errors.As(err, &authority):
		text = "the certificate is signed by an unknown authority: check ca"
	case errors.As(err, &name):
		text = "the certificate is for another name: check addresses, or have one issued for this name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text = "the certificate has expired or is not valid yet: renew it, and compare the clocks"
	case errors.As(err, &invalid):
		text = "the certificate is not valid for a server: have another issued"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		text = "no answer in time"
	case errors.As(err, &op) && op.Op == "dial":
		text = fmt.Sprintf("no connection (%v)", op.Err)
	case errors.As(err, &op):
		text = "the connection broke"
	}
	return fmt.Errorf("vault: %s: %s: %s", act, host, text)
}
