package file_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
	"github.com/deskmint/deskmint/secrets/secretstest"
)

// TestKillSwitchInAFile switches a secret off in each way in which an operator may write it by
// hand. The file is good at first. It then has the fault of the row, if any.
func TestKillSwitchInAFile(t *testing.T) {
	head := "secrets:\n  sso/acme-customers:\n"
	versions := "    versions:\n      1: {shared_secret: " + one + "}\n"
	for _, tc := range []struct {
		name string
		text string
		mode fs.FileMode
		good bool // the rest of the file
		on   bool
	}{
		{name: "true", text: head + "    disabled: true\n" + versions, good: true},
		{name: "yes", text: head + "    disabled: yes\n" + versions, good: true},
		{name: "on", text: head + "    disabled: on\n" + versions, good: true},
		{name: "1", text: head + "    disabled: 1\n" + versions, good: true},
		{name: "quoted", text: head + "    disabled: \"true\"\n" + versions, good: true},
		{name: "a time", text: head + "    disabled: 2026-11-29T09:00:00Z\n" + versions, good: true},
		{name: "a word", text: head + "    disabled: leaked\n" + versions, good: true},
		{name: "no value", text: head + "    disabled:\n" + versions, good: true},
		{name: "a list", text: head + "    disabled: [no]\n" + versions, good: true},
		{
			name: "in one line",
			text: "secrets:\n  sso/acme-customers: {disabled: yes, versions: {1: {shared_secret: " + one + "}}}\n",
			good: true,
		},
		{name: "false", text: head + "    disabled: false\n" + versions, good: true, on: true},
		{name: "no", text: head + "    disabled: no\n" + versions, good: true, on: true},
		{name: "quoted no", text: head + "    disabled: 'No'\n" + versions, good: true, on: true},

		{name: "an unknown key in the file", text: "extra: 1\n" + head + "    disabled: true\n" + versions},
		{name: "an unknown key in the secret", text: head + "    disabled: true\n    extra: 1\n" + versions},
		{
			name: "a fault of another secret",
			text: head + "    disabled: true\n" + versions + "  sso/other: {active: 9}\n",
		},
		{name: "a fault of the pointer", text: head + "    active: two\n    disabled: true\n" + versions},
		{name: "no versions", text: head + "    disabled: true\n"},
		{name: "twice", text: head + "    disabled: false\n    disabled: true\n" + versions},
		{name: "twice the other way round", text: head + "    disabled: true\n    disabled: false\n" + versions},
		{name: "with a capital", text: head + "    Disabled: true\n" + versions},
		{name: "an alias", text: "x: &x yes\n" + head + "    disabled: *x\n" + versions},
		{name: "a merge key", text: "x: &x {disabled: yes}\n" + head + "    <<: *x\n" + versions},
		{
			name: "a merge key with several",
			text: "x: &x {disabled: yes}\ny: &y {}\n" + head + "    <<: [*y, *x]\n" + versions,
		},
		{name: "the secret occurs twice", text: head + versions + "  sso/acme-customers: {disabled: true}\n"},
		{name: "readable by all users", text: head + "    disabled: true\n" + versions, mode: 0o644},
		{name: "a fault, and a plain no", text: "extra: 1\n" + head + "    disabled: false\n" + versions, on: true},

		{name: "no YAML after it", text: head + "    disabled: true\n" + versions + "  sso/other: {\n"},
		{name: "no YAML before it", text: "\t- {\n" + head + "    disabled: true # leaked\n" + versions},
		{
			name: "no YAML, quoted path",
			text: "secrets:\n  \"sso/acme-customers\":\n    disabled: 'yes'\n" + versions + "  ]\n",
		},
		{
			name: "no YAML, in one line",
			text: "secrets:\n  sso/acme-customers: {disabled: yes, versions: {1: {shared_secret: " + one + "}}\n",
		},
		{
			name: "no YAML, in braces over lines",
			text: "secrets:\n  sso/acme-customers: {\n    disabled: yes,\n" +
				"    versions: {1: {shared_secret: " + one + "}}\n",
		},
		{name: "no YAML, after the versions", text: head + versions + "    disabled: true\n  ]\n"},
		{name: "no YAML, no value", text: head + "    disabled:\n" + versions + "  ]\n"},
		{
			name: "no YAML, Windows line ends",
			text: strings.ReplaceAll(head+"    disabled: true\n"+versions+"  ]\n", "\n", "\r\n"),
		},
		{name: "a tab for an indent", text: head + "\tdisabled: true\n" + versions},
		{name: "too deep, below the pointer", text: head + "    active: 1\n      disabled: true\n" + versions},
		{name: "a tab, below the pointer", text: head + "    active: 1\n\tdisabled: true\n" + versions},
		{name: "too deep, below the versions", text: head + versions + "     disabled: true\n"},
		{name: "among the versions", text: head + versions + "      disabled: true\n"},
		{name: "in a version", text: head + "    versions:\n      1: {shared_secret: " + one + ", disabled: true}\n"},
		{
			name: "in a version, in words",
			text: head + "    versions:\n      1: {shared_secret: " + one + ", disabled: yes}\n",
		},
		{name: "at the path's level", text: head + versions + "  disabled: true\n"},
		{name: "at the file's level", text: head + versions + "disabled: true\n"},
		{name: "without a space", text: head + "    disabled:true\n" + versions},
		{name: "without a colon", text: head + "    disabled true\n" + versions},
		{name: "without a colon, below the pointer", text: head + "    active: 1\n    disabled true\n" + versions},
		{name: "as an item", text: head + "    - disabled: true\n" + versions},
		{name: "a no-break space for an indent", text: head + "\u00a0\u00a0\u00a0\u00a0disabled: true\n" + versions},
		{
			name: "the file's key misspelt",
			text: strings.Replace(head, "secrets", "Secrets", 1) + "    disabled: true\n" + versions,
		},
		{
			name: "the file's key missing",
			text: strings.Replace(head, "secrets:\n", "", 1) + "    disabled: true\n" + versions,
		},
		{
			name: "no YAML, all in one line",
			text: "{\"secrets\": {\"sso/acme-customers\": {\"disabled\": true, \"versions\": {\"1\": {}}}}\n",
		},
		{name: "no YAML, an equals sign", text: head + "    disabled = true\n" + versions},
		{name: "no YAML, in a comment", text: head + versions + "    # disabled: true\n  ]\n", on: true},
		{name: "no YAML, another word", text: head + versions + "    not_disabled: true\n  ]\n", on: true},
		{name: "no YAML, and a plain no", text: head + "    disabled: no\n" + versions + "  ]\n", on: true},
		{
			name: "no YAML, another secret's",
			text: head + versions + "  sso/other:\n    disabled: true\n  ]\n", on: true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := write(t, head+versions, 0o600)
			k := secrets.NewKeyring(secrets.Options{Source: newStore(path)})
			if err := k.Warm(t.Context(), acme); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Get(acme, time.Hour); err != nil {
				t.Fatal(err)
			}
			mode := tc.mode
			if mode == 0 {
				mode = 0o600
			}
			rewrite(t, path, tc.text, mode)
			_, _, fault := k.Refresh(t.Context(), acme)
			if tc.good != (fault == nil) {
				t.Errorf("Refresh: %v", fault)
			}
			if _, err := k.Get(acme, time.Hour); tc.on == errors.Is(err, secrets.ErrDisabled) {
				t.Errorf("Get: %v", err)
			}
			if tc.good || tc.on {
				return
			}
			// A replica that starts with the faulty file refuses as well.
			status, err := newStore(path).Status(t.Context(), acme.Path)
			if err == nil || !status.Disabled {
				t.Errorf("%+v, %v", status, err)
			}
			// The end of the fault doesn't switch the secret on while the file still has the
			// switch.
			rewrite(t, path, head+"    disabled: true\n"+versions, 0o600)
			_, _, _ = k.Refresh(t.Context(), acme)
			if _, err := k.Get(acme, time.Hour); !errors.Is(err, secrets.ErrDisabled) {
				t.Errorf("corrected, still off: %v", err)
			}
			rewrite(t, path, head+versions, 0o600)
			_, _, _ = k.Refresh(t.Context(), acme)
			if _, err := k.Get(acme, time.Hour); err != nil {
				t.Errorf("switched on: %v", err)
			}
		})
	}
}

// TestDisableInAFaultyFile checks that the command writes the switch into a file that it would
// otherwise not change, and that replicas read it.
func TestDisableInAFaultyFile(t *testing.T) {
	text := `extra: 1
secrets:
  sso/acme-customers:
    active: 9
    versions:
      1: {shared_secret: ` + one + `}
  sso/other: {disabled: false, versions: 7}
`
	path := write(t, text, 0o600)
	r := rotator(path)
	for name, act := range map[string]func(context.Context) (rotate.Plan, error){
		"stage":    func(ctx context.Context) (rotate.Plan, error) { return r.Stage(ctx, []byte(two)) },
		"activate": func(ctx context.Context) (rotate.Plan, error) { return r.Activate(ctx, 1) },
		"enable":   r.Enable,
	} {
		_, err := act(t.Context())
		if !errors.Is(err, secrets.ErrUnusable) ||
			!strings.Contains(fmt.Sprint(err), path+":1: unknown key extra") {
			t.Errorf("%s: %v", name, err)
		}
	}
	secretstest.Must(r.Disable(t.Context()))(t)
	want := strings.Replace(text, "active: 9\n", "active: 9\n    disabled: \"2026-09-01T10:00:00Z\"\n", 1)
	if got := read(t, path); got != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
	if status, err := newStore(path).Status(t.Context(), acme.Path); err == nil || !status.Disabled {
		t.Errorf("%+v, %v", status, err)
	}
	if _, err := r.Disable(t.Context()); !errors.Is(err, rotate.ErrRefused) {
		t.Errorf("again: %v", err)
	}
	// Disable again, over any text of the switch.
	for _, value := range []string{"false", "no", "0", `""`, "'no'", "false # c"} {
		rewrite(t, path, "secrets:\n  sso/acme-customers:\n    disabled: "+value+"\n"+
			"    versions:\n      1: {shared_secret: "+one+"}\n", 0o600)
		secretstest.Must(r.Disable(t.Context()))(t)
		secretstest.Must(r.Enable(t.Context()))(t)
		secretstest.Must(r.Disable(t.Context()))(t)
		if status, err := newStore(path).Status(t.Context(), acme.Path); err != nil || !status.Disabled {
			t.Errorf("over %s: %+v, %v: %s", value, status, err, read(t, path))
		}
	}
	// Disable returns an error if it can't change the file line by line.
	rewrite(t, path, "secrets:\n  sso/acme-customers: [\n", 0o600)
	_, err := r.Disable(t.Context())
	if err == nil || !strings.Contains(err.Error(), "not valid YAML") ||
		!strings.Contains(err.Error(), "add a line `disabled: true`") {
		t.Errorf("no YAML: %v", err)
	}
}
