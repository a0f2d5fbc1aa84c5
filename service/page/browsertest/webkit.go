package browsertest

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// webkit opens tabs by WebDriver: https://w3c.github.io/webdriver. Each has a browser of its own,
// because a driver has one session, and a setting holds for all tabs of a browser.
type webkit struct{ driver, browser, screen string }

// startWebKit starts a screen for the browsers, because WebKitGTK has no headless mode.
func startWebKit(t testing.TB, driver string) opener {
	t.Helper()
	browsers, _ := filepath.Glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser")
	if len(browsers) == 0 {
		t.Fatalf("%s is there, but not the MiniBrowser of WebKitGTK, which it starts", driver)
	}
	_, screen := startProcess(t, `(\d+)\n`, "Xvfb", []string{
		"-displayfd", "2", "-screen", "0", "1280x1024x24", "-nolisten", "tcp",
	}, os.Environ())
	return webkit{driver, browsers[len(browsers)-1], ":" + screen}
}

func (w webkit) open(ctx context.Context, t testing.TB, o TabOptions) (driver, error) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	home := t.TempDir()
	startProcess(t, "", w.driver, []string{"--port=" + port}, environment(home, "DISPLAY="+w.screen))
	arguments := []string{"--automation", "--full-screen"} // without it a window has bars
	if o.Dark {
		arguments = append(arguments, "--dark-mode")
	}
	if o.ScriptsOff {
		arguments = append(arguments, "--enable-javascript=false")
	}
	session := &webdriver{address: "http://127.0.0.1:" + port}
	if err := session.begin(ctx, w.browser, arguments); err != nil {
		return nil, err
	}
	d := &webkitTab{webdriver: session}
	return d, session.request(ctx, http.MethodGet, session.session+"/window", nil, &d.id)
}

type webkitTab struct {
	*webdriver
	id string
}

func (d *webkitTab) navigate(ctx context.Context, url string) error {
	return d.post(ctx, d.id, "/url", object{"url": url}, nil)
}

func (d *webkitTab) traverse(ctx context.Context, by int) error {
	command := map[int]string{-1: "/back", +1: "/forward"}[by]
	return d.post(ctx, d.id, command, object{}, nil)
}

func (d *webkitTab) reload(ctx context.Context) error {
	return d.post(ctx, d.id, "/refresh", object{}, nil)
}

func (d *webkitTab) evaluate(ctx context.Context, script string) (value string, err error) {
	err = d.post(ctx, d.id, "/execute/sync", object{"script": "return " + script, "args": []any{}}, &value)
	return value, err
}

// aim finds the element at once. The driver's pointer actions don't end while the next page loads,
// but its clicks at an element do.
func (d *webkitTab) aim(ctx context.Context, selector string) (func(context.Context) error, error) {
	var found map[string]string // has one key, which the standard defines
	err := d.post(ctx, d.id, "/element", object{"using": "css selector", "value": selector}, &found)
	return func(ctx context.Context) error {
		for _, id := range found {
			return d.post(ctx, d.id, "/element/"+id+"/click", object{}, nil)
		}
		return errors.New("the driver named no element")
	}, err
}

func (d *webkitTab) resize(ctx context.Context, width, height int) error {
	return d.post(ctx, d.id, "/window/rect", object{"width": width, "height": height}, nil)
}

func (d *webkitTab) screenshot(ctx context.Context) ([]byte, error) {
	var encoded string
	if err := d.get(ctx, d.id, "/screenshot", &encoded); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(encoded)
}

func (d *webkitTab) tabs(ctx context.Context) (names []string, err error) {
	err = d.get(ctx, d.id, "/window/handles", &names)
	return names, err
}

func (d *webkitTab) attach(_ context.Context, name string) (driver, error) {
	return &webkitTab{d.webdriver, name}, nil
}

func (d *webkitTab) create(ctx context.Context) (driver, error) {
	var answer struct{ Handle string }
	err := d.post(ctx, d.id, "/window/new", object{"type": "tab"}, &answer)
	return &webkitTab{d.webdriver, answer.Handle}, err
}

// errors returns nothing, because the driver doesn't pass on what the browser reports.
func (d *webkitTab) errors() []string { return nil }

func (d *webkitTab) end(context.Context) error { return errors.ErrUnsupported }

// freePort returns a port on which nothing listens. The driver can't choose one by itself.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, err
}
