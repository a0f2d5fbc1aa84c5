package browsertest

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// firefoxPreferences configure a browser that connects only to the test's servers. With
// --remote-debugging-port, Firefox itself turns off updates, telemetry and the like. The proxy
// doesn't exist. Firefox uses none for loopback addresses.
var firefoxPreferences = map[string]string{
	"browser.chrome.site_icons":                        `false`,
	"dom.confirm_repost.testing.always_accept":         `true`, // the answer to "send the form again?"
	"network.proxy.type":                               `1`,
	"network.proxy.http":                               `"127.0.0.1"`,
	"network.proxy.http_port":                          `9`,
	"network.proxy.ssl":                                `"127.0.0.1"`,
	"network.proxy.ssl_port":                           `9`,
	"ui.prefersReducedMotion":                          `1`,
	"layout.css.prefers-color-scheme.content-override": `1`, // light
}

// firefox opens tabs by WebDriver BiDi. Tabs with the same options share a browser, because it
// starts slowly. Each tab has its own cookies and storage.
type firefox struct {
	binary  string
	test    testing.TB // the browsers end with it
	started map[TabOptions]*firefoxBrowser
}

func startFirefox(t testing.TB, binary string) opener {
	t.Helper()
	return &firefox{binary, t, map[TabOptions]*firefoxBrowser{}}
}

func (f *firefox) open(ctx context.Context, _ testing.TB, o TabOptions) (driver, error) {
	b := f.started[o]
	if b == nil || b.process.hasEnded() {
		var err error
		if b, err = f.start(ctx, o); err != nil {
			return nil, err
		}
		f.started[o] = b
	}
	if o.Session != "" {
		tabs, err := b.tabs(ctx)
		if err != nil || len(tabs) == 0 {
			return nil, fmt.Errorf("finding the tab of the session: %w", cmp.Or(err, errors.New("there is none")))
		}
		return &firefoxTab{b, "", tabs[0], 0}, nil
	}
	var answer struct{ UserContext string }
	if err := b.bidi.call(ctx, "browser.createUserContext", object{}, &answer); err != nil {
		return nil, err
	}
	return (&firefoxTab{b, answer.UserContext, "", len(b.log.all())}).create(ctx)
}

func (f *firefox) start(ctx context.Context, o TabOptions) (*firefoxBrowser, error) {
	profile := o.Session
	if profile == "" {
		profile = f.test.TempDir()
	}
	preferences := maps.Clone(firefoxPreferences)
	if o.Dark {
		preferences["layout.css.prefers-color-scheme.content-override"] = `0`
	}
	if o.ScriptsOff {
		preferences["javascript.enabled"] = `false`
	}
	if o.Session != "" {
		preferences["browser.sessionstore.resume_from_crash"] = `true`
		preferences["browser.sessionstore.interval"] = `100`
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(preferences)) {
		fmt.Fprintf(&lines, "user_pref(%q, %s);\n", name, preferences[name])
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(lines.String()), 0o600); err != nil {
		return nil, err
	}
	p, url := startProcess(f.test, `WebDriver BiDi listening on (ws://\S+)\n`, f.binary, []string{
		"--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0",
	}, environment(profile))
	b := &firefoxBrowser{process: p, log: &eventLog{}, session: o.Session}
	return b, b.connect(ctx, url+"/session")
}

// firefoxBrowser is a browser whose tabs have the same options.
type firefoxBrowser struct {
	process *process
	bidi    *bidi
	log     *eventLog
	session string // the profile, if it is kept
}

type object = map[string]any

func (d *firefoxBrowser) connect(ctx context.Context, url string) (err error) {
	if d.bidi, err = dialBiDi(ctx, url, d.record); err != nil {
		return err
	}
	if err := d.bidi.call(ctx, "session.new", object{"capabilities": object{}}, nil); err != nil {
		return err
	}
	return d.bidi.call(ctx, "session.subscribe", object{"events": []string{"log.entryAdded"}}, nil)
}

// firefoxTab is a tab. Tabs with the same user context share cookies and storage.
type firefoxTab struct {
	*firefoxBrowser
	user, id string
	since    int // number of errors when it was opened
}

// record records errors. Firefox also warns of what is no error.
func (d *firefoxBrowser) record(method string, params json.RawMessage) {
	var entry struct{ Level, Text string }
	if err := json.Unmarshal(params, &entry); err != nil || method != "log.entryAdded" || entry.Level != "error" {
		return
	}
	d.log.add(entry.Text)
}

func (d *firefoxTab) navigate(ctx context.Context, url string) error {
	err := d.bidi.call(ctx, "browsingContext.navigate", object{"context": d.id, "url": url, "wait": "none"}, nil)
	if err != nil && strings.Contains(err.Error(), "NS_BINDING_ABORTED") {
		return nil // the page has replaced itself by another at once
	}
	return err
}

func (d *firefoxTab) traverse(ctx context.Context, by int) error {
	return d.bidi.call(ctx, "browsingContext.traverseHistory", object{"context": d.id, "delta": by}, nil)
}

func (d *firefoxTab) reload(ctx context.Context) error {
	return d.bidi.call(ctx, "browsingContext.reload", object{"context": d.id, "wait": "none"}, nil)
}

func (d *firefoxTab) evaluate(ctx context.Context, script string) (string, error) {
	var answer struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err := d.bidi.call(ctx, "script.evaluate", object{
		"expression": script, "target": object{"context": d.id}, "awaitPromise": false,
	}, &answer)
	if err == nil && answer.Type != "success" {
		err = errors.New(answer.ExceptionDetails.Text)
	}
	return answer.Result.Value, err
}

func (d *firefoxTab) aim(ctx context.Context, selector string) (func(context.Context) error, error) {
	x, y, err := middle(ctx, d, selector)
	params := object{"context": d.id, "actions": []any{object{
		"type": "pointer", "id": "mouse", "actions": []any{
			object{"type": "pointerMove", "x": int(x), "y": int(y)},
			object{"type": "pointerDown", "button": 0},
			object{"type": "pointerUp", "button": 0},
		},
	}}}
	return func(ctx context.Context) error { return d.bidi.call(ctx, "input.performActions", params, nil) }, err
}

func (d *firefoxTab) resize(ctx context.Context, width, height int) error {
	return d.bidi.call(ctx, "browsingContext.setViewport", object{
		"context": d.id, "viewport": object{"width": width, "height": height},
	}, nil)
}

func (d *firefoxTab) screenshot(ctx context.Context) ([]byte, error) {
	var answer struct{ Data string }
	if err := d.bidi.call(ctx, "browsingContext.captureScreenshot", object{"context": d.id}, &answer); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(answer.Data)
}

func (d *firefoxBrowser) tabs(ctx context.Context) ([]string, error) {
	var answer struct{ Contexts []struct{ Context string } }
	if err := d.bidi.call(ctx, "browsingContext.getTree", object{"maxDepth": 0}, &answer); err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range answer.Contexts {
		ids = append(ids, c.Context)
	}
	return ids, nil
}

func (d *firefoxTab) attach(_ context.Context, name string) (driver, error) {
	return &firefoxTab{d.firefoxBrowser, d.user, name, d.since}, nil
}

func (d *firefoxTab) create(ctx context.Context) (driver, error) {
	var answer struct{ Context string }
	params := object{"type": "tab"}
	if d.user != "" {
		params["userContext"] = d.user
	}
	err := d.bidi.call(ctx, "browsingContext.create", params, &answer)
	return &firefoxTab{d.firefoxBrowser, d.user, answer.Context, d.since}, err
}

func (d *firefoxTab) errors() []string { return d.log.all()[d.since:] }

// end ends the browser like a crash. WebDriver BiDi closes the tabs before the browser, so that
// Firefox would have no tab to restore.
func (d *firefoxTab) end(ctx context.Context) error {
	defer d.process.end()
	before := time.Now()
	if _, err := d.evaluate(ctx, `String(sessionStorage.setItem('changed', 'so that it is written'))`); err != nil {
		return err
	}
	for {
		written, err := os.Stat(filepath.Join(d.session, "sessionstore-backups", "recovery.jsonlz4"))
		if err == nil && written.ModTime().After(before) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
