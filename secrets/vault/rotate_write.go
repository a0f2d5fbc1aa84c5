package vault

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/deskmint/deskmint/secrets"
)

// Write implements rotate.Writer. Vault's own check-and-set protects it.
func (w *Writer) Write(ctx context.Context, ref secrets.Ref, o secrets.Observed, value []byte) error {
	quoted, err := json.Marshal(string(value))
	if err != nil {
		return fmt.Errorf("vault: %w", secrets.ErrUnusable) // an error of encoding/json quotes the value
	}
	return w.write(ctx, ref.Path, o, secrets.Mark{Staged: true}, map[string]json.RawMessage{ref.Field: quoted})
}

// WriteMark implements rotate.Writer.
func (w *Writer) WriteMark(ctx context.Context, path string, o secrets.Observed, m secrets.Mark) error {
	return w.write(ctx, path, o, m, nil)
}

// DeleteMark implements rotate.Writer. The deletion is soft: `vault kv undelete` undoes it.
func (w *Writer) DeleteMark(ctx context.Context, path string, v secrets.Version) error {
	where := w.deletion(path)
	act := fmt.Sprintf("deleting version %d at %s", v, where)
	a, err := w.send(ctx, act, path, map[string]any{"versions": []secrets.Version{v}},
		func(ctx context.Context, l *api.Logical, body []byte) (*api.Response, error) {
			return l.WriteRawWithContext(ctx, where, body)
		})
	if err == nil && a.status != http.StatusOK && a.status != http.StatusNoContent {
		err = refused(act, a.status, "update", where)
	}
	return err
}

// Mark implements rotate.Writer.
func (w *Writer) Mark(ctx context.Context, path string, v secrets.Version) (secrets.Mark, error) {
	fields, err := w.fields(ctx, path, v)
	if err != nil || fields[secrets.MarkField] == nil {
		return secrets.Mark{}, err
	}
	var text string
	_ = json.Unmarshal(fields[secrets.MarkField], &text) // a value that isn't a string is a mark as well
	return secrets.ParseMark(text), nil
}

// write adds a version with the mark m. It copies the fields of the newest version that has a
// value, and replaces those in set.
func (w *Writer) write(
	ctx context.Context, path string, o secrets.Observed, m secrets.Mark, set map[string]json.RawMessage,
) error {
	fields := map[string]json.RawMessage{}
	if base := o.Before(o.Latest + 1); base != 0 {
		var err error
		if fields, err = w.fields(ctx, path, base); err != nil {
			return err
		}
	}
	maps.Copy(fields, set)
	fields[secrets.MarkField] = json.RawMessage(strconv.Quote(m.String()))
	where := w.data(path)
	act := fmt.Sprintf("writing version %d of %s", o.Latest+1, where)
	body := map[string]any{"options": map[string]any{"cas": o.Latest}, "data": fields}
	a, err := w.send(ctx, act, path, body,
		func(ctx context.Context, l *api.Logical, body []byte) (*api.Response, error) {
			return l.WriteRawWithContext(ctx, where, body)
		})
	switch {
	case err != nil:
		return err
	case a.status == http.StatusOK:
		return nil
	case a.status == http.StatusForbidden && o.Latest == 0:
		return refused(act, a.status, "create", where)
	case a.status == http.StatusBadRequest:
		return fmt.Errorf("vault: %s: refused (400): the secret was written to since, or its values are larger than "+
			"Vault takes", act)
	}
	return refused(act, a.status, "update", where)
}

// Change implements rotate.Writer. Vault has no check-and-set for metadata, but one request
// changes all keys or none.
func (w *Writer) Change(ctx context.Context, path string, o secrets.Observed, to secrets.Change) error {
	custom := map[string]any{}
	var acts []string
	if to.Active != 0 {
		acts = append(acts, fmt.Sprintf("making version %d active", to.Active))
		custom[keyActive] = strconv.FormatUint(uint64(to.Active), 10)
		custom[keyPrevious] = nil // removes the key (RFC 7396)
		if to.Previous != 0 {
			custom[keyPrevious] = strconv.FormatUint(uint64(to.Previous), 10)
		}
	}
	if to.Serial != 0 {
		custom[keySerial] = strconv.FormatUint(to.Serial, 10)
	}
	switch {
	case to.Disabled != "":
		acts = append(acts, "switching off")
		custom[keyDisabled] = to.Disabled
	case to.Enabled:
		acts = append(acts, "switching on")
		custom[keyDisabled] = "false"
		for _, key := range o.SwitchKeys {
			custom[key] = nil
		}
	}
	return w.patch(ctx, strings.Join(acts, " and "), path, custom)
}

// patch changes the given keys of the custom metadata and keeps the others. A PUT would replace the
// whole map.
func (w *Writer) patch(ctx context.Context, act, path string, custom map[string]any) error {
	where := w.metadata(path)
	act += " in " + where
	a, err := w.send(ctx, act, path, map[string]any{"custom_metadata": custom},
		func(ctx context.Context, l *api.Logical, body []byte) (*api.Response, error) {
			return l.PatchRawWithContext(ctx, where, body)
		})
	switch {
	case err != nil:
		return err
	case a.status == http.StatusOK, a.status == http.StatusNoContent:
		return nil
	case a.status == http.StatusMethodNotAllowed:
		return fmt.Errorf("vault: %s: this Vault is too old to change single keys of a secret's metadata (PATCH, 405)",
			act)
	case a.status == http.StatusBadRequest:
		return fmt.Errorf("vault: %s: refused (400): custom metadata hold at most 64 keys", act)
	}
	return refused(act, a.status, "patch", where)
}

func (w *Writer) send(
	ctx context.Context, act, path string, body any,
	do func(context.Context, *api.Logical, []byte) (*api.Response, error),
) (answer, error) {
	if !isPath(path) { // an HTTP client would resolve dot segments
		return answer{}, fmt.Errorf("vault: %s: %w: not the path of a secret", act, secrets.ErrUnusable)
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("vault: %s: %w", act, secrets.ErrUnusable)
	}
	g, err := w.source.session.token(ctx)
	if err != nil {
		return answer{}, err
	}
	return w.source.wire.send(ctx, act, g.token(), func(ctx context.Context, l *api.Logical) (*api.Response, error) {
		return do(ctx, l, encoded)
	})
}

// Begins implements rotate.Writer.
func (w *Writer) Begins(ctx context.Context, ref secrets.Ref, v secrets.Version, prefix string) (bool, error) {
	fields, err := w.fields(ctx, ref.Path, v)
	if err != nil {
		return false, err
	}
	var value string
	if json.Unmarshal(fields[ref.Field], &value) != nil {
		return false, fmt.Errorf("vault: reading %s version %d: %w: it has no field %s that is a string",
			w.data(ref.Path), v, secrets.ErrUnusable, ref.Field)
	}
	begin := value[:min(len(prefix), len(value))]
	return subtle.ConstantTimeCompare([]byte(begin), []byte(prefix)) == 1, nil
}

// fields returns all fields of a version undecoded, because a number in a field that isn't
// Deskmint's must be written back unchanged.
func (w *Writer) fields(ctx context.Context, path string, v secrets.Version) (map[string]json.RawMessage, error) {
	where := w.data(path)
	act := fmt.Sprintf("reading %s version %d", where, v)
	a, err := w.source.read(ctx, act, path, where, url.Values{"version": {strconv.FormatUint(uint64(v), 10)}})
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, refused(act, a.status, "read", where)
	}
	var decoded struct {
		Data struct {
			Data map[string]json.RawMessage `json:"data"`
		} `json:"data"`
	}
	if !a.decode(&decoded) || decoded.Data.Data == nil {
		return nil, malformed(act)
	}
	return decoded.Data.Data, nil
}

// mergePatch is a transport that sets the content type that Vault requires for a PATCH (RFC 7396).
// The client's raw method sets another one, which Vault refuses.
type mergePatch struct{ next http.RoundTripper }

func (m mergePatch) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPatch {
		req = req.Clone(req.Context())
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return m.next.RoundTrip(req)
}
