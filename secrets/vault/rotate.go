package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/deskmint/deskmint/secrets"
)

// defaultMaxVersions is the number of versions that KV v2 keeps if neither the secret nor the mount
// sets max_versions.
const defaultMaxVersions = 10

// Writer changes secrets in Vault on behalf of an operator. It implements rotate.Writer. It reads
// and writes with the operator's token, never with the service's.
//
// The token needs `create`, `read` and `update` on the secret's data, `read` and `patch` on its
// metadata, and `update` on its deletion, to enable it after a kill switch. If the metadata don't
// set max_versions, it also needs `read` on the mount's config.
type Writer struct{ source *Source }

// NewWriter returns a Writer. It uses all settings except Auth. It takes the token from
// VAULT_TOKEN, or else from ~/.vault-token, where `vault login` stores it. It sends no request yet.
func NewWriter(s Settings, o Options) (*Writer, error) {
	s.Auth = Auth{Method: "token"}
	if os.Getenv(api.EnvVaultToken) == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, errors.New("vault: no token: set VAULT_TOKEN")
		}
		s.Auth.TokenFile = filepath.Join(home, ".vault-token")
		if _, err := os.Stat(s.Auth.TokenFile); err != nil {
			return nil, fmt.Errorf("vault: you have no token: VAULT_TOKEN isn't set, and there is no %s: log in "+
				"(`vault login`)", s.Auth.TokenFile)
		}
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Transport == nil {
		transport, err := newCATransport(s, o.Timeout, o.Log)
		if err != nil {
			return nil, err
		}
		o.Transport = transport
	}
	o.Transport = mergePatch{o.Transport}
	source, err := New(s, o)
	if err != nil {
		return nil, err
	}
	source.session.fewUses = true
	return &Writer{source: source}, nil
}

// Observe implements rotate.Writer.
func (w *Writer) Observe(ctx context.Context, path string) (secrets.Observed, error) {
	if err := w.checkMount(ctx); err != nil {
		return secrets.Observed{}, err
	}
	where := w.metadata(path)
	act := "reading " + where
	o := secrets.Observed{Place: "vault: " + where, Fates: map[secrets.Version]string{}}
	a, err := w.source.read(ctx, act, path, where, nil)
	switch {
	case err != nil:
		return o, err
	case a.status == http.StatusNotFound: // a path without versions, on a mount that exists
		o.Keeps, o.KeepsFault = w.keeps(ctx, 0)
		o.Denied, err = w.denied(ctx, path, o.Latest)
		return o, err
	case a.status != http.StatusOK:
		return o, refused(act, a.status, "read", where)
	}
	var decoded metadataAnswer
	var limit struct {
		Data struct {
			MaxVersions int `json:"max_versions"`
		} `json:"data"`
	}
	if !a.decode(&decoded) || decoded.Data == nil || !a.decode(&limit) {
		return o, malformed(act)
	}
	w.fill(&o, decoded)
	if o.PointerFault = point(&o.Status, decoded.Data.Custom); o.PointerFault != nil {
		o.Active = o.Latest // as without a pointer, so that the operator can correct it
		o.Previous = o.Before(o.Active)
	}
	o.Wiped = !o.Pinned && len(decoded.Data.Custom) > 0
	for key := range decoded.Data.Custom {
		if key != keyDisabled && strings.EqualFold(key, keyDisabled) {
			o.SwitchKeys = append(o.SwitchKeys, key)
		}
	}
	o.Keeps, o.KeepsFault = w.keeps(ctx, limit.Data.MaxVersions)
	o.Denied, err = w.denied(ctx, path, o.Latest)
	return o, err
}

// fill sets the status and the fates of the versions.
func (w *Writer) fill(o *secrets.Observed, decoded metadataAnswer) {
	now := w.source.now()
	o.Status = decoded.status(now)
	for v, m := range decoded.Data.Versions {
		switch {
		case m.Destroyed:
			o.Fates[v] = "destroyed"
		case m.gone(now):
			o.Fates[v] = "deleted"
		case m.Deletion != "":
			o.Fates[v] = "to be deleted at " + m.Deletion
		}
	}
}

// keeps returns the number of versions that Vault keeps of a secret. The parameter own is the
// max_versions of its metadata, or zero. If both the secret and the mount set max_versions, Vault
// keeps the larger number, although its documentation doesn't say so. At least the number of the
// secret is kept in either case.
func (w *Writer) keeps(ctx context.Context, own int) (int, error) {
	if own > 0 {
		return own, nil
	}
	where := w.source.mount + "/config"
	act := "reading " + where
	a, err := w.source.read(ctx, act, "config", where, nil)
	if err != nil {
		return 0, err
	}
	if a.status != http.StatusOK {
		return 0, refused(act, a.status, "read", where)
	}
	var decoded struct {
		Data *struct {
			MaxVersions int `json:"max_versions"`
		} `json:"data"`
	}
	if !a.decode(&decoded) || decoded.Data == nil {
		return 0, malformed(act)
	}
	if decoded.Data.MaxVersions > 0 {
		return decoded.Data.MaxVersions, nil
	}
	return defaultMaxVersions, nil
}

// denied returns the writes that the token may not make. Every token may read its capabilities
// unless it was made without Vault's policy `default`. Without that policy nothing is known before
// the write.
func (w *Writer) denied(ctx context.Context, path string, latest secrets.Version) (denied secrets.Denied, err error) {
	const where = "sys/capabilities-self"
	data, metadata, deletion := w.data(path), w.metadata(path), w.deletion(path)
	a, err := w.send(ctx, "reading "+where, path, map[string]any{"paths": []string{data, metadata, deletion}},
		func(ctx context.Context, l *api.Logical, body []byte) (*api.Response, error) {
			return l.WriteRawWithContext(ctx, where, body)
		})
	if err != nil {
		return denied, err
	}
	var decoded struct {
		Data map[string][]string `json:"data"`
	}
	if a.status != http.StatusOK || !a.decode(&decoded) {
		return denied, nil
	}
	write := "update"
	if latest == 0 {
		write = "create"
	}
	lacks := func(capability, where string) error {
		has := decoded.Data[where]
		if has == nil || slices.Contains(has, capability) || slices.Contains(has, "root") {
			return nil
		}
		return fmt.Errorf("vault: %w: your token lacks the capability %q on %s", secrets.ErrDenied, capability, where)
	}
	return secrets.Denied{Write: lacks(write, data), Change: lacks("patch", metadata),
		Delete: lacks("update", deletion)}, nil
}

// checkMount returns an error unless the mount is a KV engine of version 2. In an engine of version
// 1 a secret would be written under a name that is never read. Every token with a capability below
// the mount may make this request.
func (w *Writer) checkMount(ctx context.Context) error {
	where := "sys/internal/ui/mounts/" + w.source.mount
	act := "reading the type of mount " + w.source.mount + " at " + where
	a, err := w.source.read(ctx, act, w.source.mount, where, nil)
	if err != nil {
		return err
	}
	if a.status == http.StatusForbidden {
		return fmt.Errorf("vault: %s: %w (403): there is no such mount, or your token may do nothing below it: check "+
			"secrets.vault.mount and namespace, and your policy", act, secrets.ErrDenied)
	}
	if a.status != http.StatusOK {
		return statusError(act, a.status, readErrors)
	}
	var decoded struct {
		Data struct {
			Path    string            `json:"path"`
			Type    string            `json:"type"`
			Options map[string]string `json:"options"`
		} `json:"data"`
	}
	if !a.decode(&decoded) {
		return malformed(act)
	}
	switch m := decoded.Data; {
	case m.Path != w.source.mount+"/":
		return fmt.Errorf("vault: %s: a part of that path is a mount: check secrets.vault.mount", act)
	case m.Type != "kv" && m.Type != "generic":
		return fmt.Errorf("vault: %s: it is not a KV engine: check secrets.vault.mount", act)
	case m.Options["version"] != "2":
		return fmt.Errorf("vault: %s: it is a KV engine of version 1, which keeps no versions: upgrade it (`vault kv "+
			"enable-versioning %s`), or name another in secrets.vault.mount", act, w.source.mount)
	}
	return nil
}

// Status implements secrets.Source.
func (w *Writer) Status(ctx context.Context, path string) (secrets.Status, error) {
	o, err := w.Observe(ctx, path)
	if err == nil && o.Latest == 0 {
		err = fmt.Errorf("%s: %w", o.Place, secrets.ErrNotFound)
	}
	return o.Status, err
}

// Key implements secrets.Source.
func (w *Writer) Key(ctx context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	key, err := w.source.Key(ctx, ref, v)
	if errors.Is(err, secrets.ErrDenied) {
		where := w.data(ref.Path)
		err = refused("reading "+where+" version "+strconv.Itoa(int(v)), http.StatusForbidden, "read", where)
	}
	return key, err
}

// StoreTime returns the time by Vault's clock, or by the local clock before Vault's first answer.
func (w *Writer) StoreTime() time.Time {
	offset, _ := w.source.clock.last()
	return w.source.now().Add(offset)
}

func (w *Writer) metadata(path string) string { return w.source.mount + "/metadata/" + path }
func (w *Writer) data(path string) string     { return w.source.mount + "/data/" + path }
func (w *Writer) deletion(path string) string { return w.source.mount + "/delete/" + path }

// refused is like statusError, but explains which capability the operator's token lacks.
func refused(act string, status int, capability, where string) error {
	if status == http.StatusForbidden {
		return fmt.Errorf("vault: %s: %w (403): your token lacks the capability %q on %s", act, secrets.ErrDenied,
			capability, where)
	}
	return statusError(act, status, readErrors)
}
