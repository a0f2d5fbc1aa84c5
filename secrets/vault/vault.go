// Package vault implements a store of secrets in HashiCorp Vault. It reads a KV v2 engine with the
// service's own token. The token needs only `read` on the data and metadata of the secrets.
//
// KV v2 has versions but no active version. Deskmint stores the number of the active version in the
// custom metadata of a secret, under active_version. Without it the latest version is active. The
// other keys are previous_version, serial, which grows by one with every change, and disabled.
// Values are always read by explicit version. The data of versions that Deskmint's commands wrote
// also contain a [secrets.Mark], because a tool that manages metadata may replace all of them.
//
// An error of a Source names the Vault path and says what to do. It never contains any part of an
// answer from Vault.
package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// The keys of custom metadata. All values except that of keyDisabled are decimal numbers.
const (
	keyActive   = "active_version"
	keyPrevious = "previous_version"
	keySerial   = "serial"
	keyDisabled = "disabled"
)

// Options configure a Source. Each may be zero.
type Options struct {
	// Transport carries the requests. If it is nil, one is made from the Settings.
	Transport http.RoundTripper
	// Timeout is the time limit of one request to one server. If it is zero, it is DefaultTimeout.
	Timeout time.Duration
	// Now is the local clock. It measures the lifetimes of tokens and is compared with Vault's
	// clock. If it is nil, time.Now is used.
	Now func() time.Time
	// Log receives logins, and warnings about Settings.SkipVerify and about clocks that differ. If
	// it is nil, nothing is logged.
	Log *slog.Logger
}

// A Source reads secrets from Vault. It implements secrets.Source. All its reads share one token.
type Source struct {
	mount   string
	wire    *wire
	session *session
	clock   *clock
	now     func() time.Time
}

// New returns a Source. It sends no request yet, so that a Vault that is unavailable at the start
// is handled like one that becomes unavailable later. It returns an error for invalid settings, and
// for VAULT_SKIP_VERIFY in the environment without Settings.SkipVerify. It logs a warning if
// SkipVerify is set.
func New(s Settings, o Options) (*Source, error) {
	var faults []error
	s.Check(func(key, message string) { faults = append(faults, fmt.Errorf("vault: %s %s", key, message)) })
	if faults != nil {
		return nil, errors.Join(faults...)
	}
	if s.Mount == "" {
		s.Mount = DefaultMount
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &clock{now: o.Now, log: o.Log}
	w, err := newWire(s, o.Transport, o.Timeout, c)
	if err != nil {
		return nil, err
	}
	if s.SkipVerify {
		o.Log.Warn("secrets.vault.skip_verify is set: Vault's certificate is not verified, and an attacker on the " +
			"network can read the token and the secrets. It is for trials only: name the authority in ca")
	}
	source := &Source{
		mount:   s.Mount,
		wire:    w,
		session: &session{auth: s.Auth, wire: w, now: o.Now, log: o.Log},
		clock:   c,
		now:     o.Now,
	}
	source.Reload(false)
	return source, nil
}

// metadataAnswer is the answer to MOUNT/metadata/PATH.
type metadataAnswer struct {
	Data *struct {
		CurrentVersion secrets.Version                     `json:"current_version"`
		Custom         map[string]string                   `json:"custom_metadata"`
		Versions       map[secrets.Version]versionMetadata `json:"versions"`
	} `json:"data"`
}

// status returns the status of the versions, without the custom metadata.
func (m metadataAnswer) status(now time.Time) secrets.Status {
	status := secrets.Status{Latest: m.Data.CurrentVersion}
	for v, vm := range m.Data.Versions {
		status.Versions = append(status.Versions, secrets.VersionStatus{Version: v, Created: vm.Created,
			Gone: vm.gone(now)})
	}
	slices.SortFunc(status.Versions, func(a, b secrets.VersionStatus) int { return int(a.Version) - int(b.Version) })
	return status
}

type versionMetadata struct {
	Version   secrets.Version `json:"version"` // in dataAnswer only
	Created   time.Time       `json:"created_time"`
	Deletion  string          `json:"deletion_time"` // empty: none; may be set in advance
	Destroyed bool            `json:"destroyed"`
}

// dataAnswer is the answer to MOUNT/data/PATH. A deleted version is a 404 with metadata and no
// data.
type dataAnswer struct {
	Data struct {
		Data     map[string]any   `json:"data"`
		Metadata *versionMetadata `json:"metadata"`
	} `json:"data"`
}

// Status implements secrets.Source.
func (s *Source) Status(ctx context.Context, path string) (secrets.Status, error) {
	where := s.mount + "/metadata/" + path
	act := "reading " + where
	a, err := s.read(ctx, act, path, where, nil)
	if err != nil {
		return secrets.Status{}, err
	}
	if a.status == http.StatusForbidden {
		return secrets.Status{}, s.refusal(ctx, act, where)
	}
	if a.status != http.StatusOK {
		return secrets.Status{}, statusError(act, a.status, readErrors)
	}
	var decoded metadataAnswer
	if !a.decode(&decoded) || decoded.Data == nil {
		return secrets.Status{}, malformed(act)
	}
	status := decoded.status(s.now())
	if err := point(&status, decoded.Data.Custom); err != nil {
		// The kill switch takes effect even if the rest can't be read.
		off := secrets.Status{Disabled: status.Disabled, DisabledBy: status.DisabledBy, Serial: status.Serial}
		return off, fmt.Errorf("vault: %s: %w", act, err)
	}
	return status, nil
}

// point sets the fields of status that are in the custom metadata. If they can't be read, it sets
// only the kill switch and the serial.
func point(status *secrets.Status, custom map[string]string) (err error) {
	for key, text := range custom {
		if strings.EqualFold(key, keyDisabled) { // an operator may have written it by hand
			status.DisabledBy = cmp.Or(secrets.ReadSwitch(text), status.DisabledBy)
		}
	}
	status.Disabled = status.DisabledBy != ""
	number := func(key string, bits int) uint64 {
		text, ok := custom[key]
		if !ok {
			return 0
		}
		status.Managed = true
		n, fault := strconv.ParseUint(text, 10, bits)
		if fault != nil || n == 0 && key == keyActive {
			err = fmt.Errorf("%w: custom_metadata.%s is not a valid number", secrets.ErrUnusable, key)
			return 0
		}
		return n
	}
	status.Serial = number(keySerial, 64)
	active, previous := number(keyActive, 32), number(keyPrevious, 32)
	if err != nil {
		return err
	}
	status.Active, status.Pinned = secrets.Version(active), active != 0 //nolint:gosec // number has checked the range
	status.Previous = secrets.Version(previous)                         //nolint:gosec // likewise
	if !status.Pinned {
		status.Active = status.Latest
	}
	if status.Previous == 0 {
		status.Previous = status.Before(status.Active)
	}
	return nil
}

func (m versionMetadata) gone(now time.Time) bool {
	if m.Destroyed {
		return true
	}
	deletion, err := time.Parse(time.RFC3339Nano, m.Deletion)
	return m.Deletion != "" && (err != nil || !deletion.After(now))
}

// Key implements secrets.Source.
func (s *Source) Key(ctx context.Context, ref secrets.Ref, v secrets.Version) (secrets.Key, error) {
	where := s.mount + "/data/" + ref.Path
	act := fmt.Sprintf("reading %s version %d", where, v)
	a, err := s.read(ctx, act, ref.Path, where, url.Values{"version": {strconv.FormatUint(uint64(v), 10)}})
	if err != nil {
		return secrets.Key{}, err
	}
	if a.status == http.StatusForbidden {
		return secrets.Key{}, s.refusal(ctx, act, where)
	}
	if a.status != http.StatusOK && a.status != http.StatusNotFound {
		return secrets.Key{}, statusError(act, a.status, readErrors)
	}
	var decoded dataAnswer
	ok := a.decode(&decoded)
	meta, data := decoded.Data.Metadata, decoded.Data.Data
	switch {
	case a.status == http.StatusNotFound && (!ok || meta == nil):
		return secrets.Key{}, statusError(act, a.status, readErrors)
	case !ok, meta == nil, meta.Version != v:
		return secrets.Key{}, malformed(act)
	case data == nil:
		return secrets.Key{}, fmt.Errorf("vault: %s: %w or destroyed", act, secrets.ErrDeleted)
	}
	value, isText := data[ref.Field].(string)
	if !isText {
		return markOf(data), fmt.Errorf("vault: %s: %w: it has no field %s that is a string", act, secrets.ErrUnusable,
			ref.Field)
	}
	key, err := secrets.NewKey(v, []byte(value))
	key = key.WithMark(markOf(data).Mark())
	if err != nil {
		return key, fmt.Errorf("vault: %s, field %s: %w", act, ref.Field, err)
	}
	return key, nil
}

// markOf returns a key that has a mark and nothing else.
func markOf(data map[string]any) secrets.Key {
	text, ok := data[secrets.MarkField]
	if !ok {
		return secrets.Key{}
	}
	return secrets.Key{}.WithMark(secrets.ParseMark(fmt.Sprint(text)))
}

// read sends a request for where, of which path is a part. A refusal may only mean that the token
// was revoked, even if it is new. So read replaces a token that isn't fresh once and tries again.
func (s *Source) read(ctx context.Context, act, path, where string, query url.Values) (answer, error) {
	if !isPath(path) { // an HTTP client would resolve dot segments
		return answer{}, fmt.Errorf("vault: %s: %w: not the path of a secret", act, secrets.ErrUnusable)
	}
	g, err := s.session.token(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := s.wire.read(ctx, act, g.token(), where, query)
	if err != nil || a.status != http.StatusForbidden || g.fresh(s.now()) {
		return a, err
	}
	if g, err = s.session.replace(ctx, g, true); err != nil {
		return answer{}, err
	}
	return s.wire.read(ctx, act, g.token(), where, query)
}

// refusal returns the error for a read of where that was answered with 403.
//
// ErrDenied drops the held keys, so Vault has to confirm it. A standby, a proxy or a rule other
// than the policies sometimes refuses a read that the token is permitted. A token that may not read
// its capabilities has lost Vault's policy `default` or never had it. The 403 of the read then has
// to suffice, because the loss of a permission must act as a kill switch.
func (s *Source) refusal(ctx context.Context, act, where string) error {
	const capabilities = "sys/capabilities-self"
	confirm := act + ": refused (403), and reading " + capabilities
	g, err := s.session.token(ctx)
	if err != nil {
		return err
	}
	a, err := s.wire.write(ctx, confirm, g.token(), capabilities, map[string][]string{"paths": {where}})
	switch {
	case err != nil:
		return err
	case a.status == http.StatusForbidden:
		return statusError(act, a.status, readErrors)
	case a.status != http.StatusOK:
		return statusError(confirm, a.status, capabilityErrors)
	}
	var decoded struct {
		Data map[string][]string `json:"data"`
	}
	if !a.decode(&decoded) || decoded.Data[where] == nil {
		return fmt.Errorf("vault: %s: the answer doesn't contain the path", confirm)
	}
	if may := decoded.Data[where]; slices.Contains(may, "read") || slices.Contains(may, "root") {
		return fmt.Errorf("vault: %s: refused (403), though the token may read there: check for a rule other than "+
			"its policies' capabilities, or a proxy", act)
	}
	return statusError(act, http.StatusForbidden, readErrors)
}
