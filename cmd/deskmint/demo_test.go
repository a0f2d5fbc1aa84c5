package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

// tab opens a tab with cookies and storage of its own.
func tab(t *testing.T, browser context.Context) context.Context {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, soon)
	t.Cleanup(cancel)
	return ctx
}

func do(t *testing.T, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, steps...); err != nil {
		shown, _ := chromedp.Run(tab, chromedp.Evaluate[string](`location.href + "\n" + document.documentElement.innerText`))
		t.Fatalf("%v; the tab shows %s", err, shown)
	}
}

// goTo navigates without waiting for a load event, which a page that goes on at once may not have.
func goTo(t *testing.T, tab context.Context, address string) {
	t.Helper()
	if _, err := chromedp.Call(tab, cdppage.Navigate, cdppage.NavigateParams{URL: address}); err != nil {
		t.Fatal(err)
	}
}

func evaluate(t *testing.T, tab context.Context, script string) string {
	t.Helper()
	value, err := chromedp.Run(tab, chromedp.Evaluate[string](script))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return value
}

var signedIn = chromedp.WaitVisible(chromedp.CSS("#signed-in"))

// choice is what somebody does on the demo's page.
type choice struct {
	configuration, brand string
	person               int // in the order of the page
	returnTo             string
}

// choose opens the demo's page, fills in a form and presses its button.
func (d *deskmint) choose(t *testing.T, tab context.Context, c choice) {
	t.Helper()
	form := fmt.Sprintf(`form:has([name=configuration][value=%q]) `, c.configuration)
	goTo(t, tab, "http://localhost:"+portOf(t, d.sandbox)+"/")
	do(t, tab,
		chromedp.Click(chromedp.CSS(fmt.Sprintf(`%s[name=person][value="%d"]`, form, c.person))),
		chromedp.SetValue(chromedp.CSS(form+"[name=brand]"), c.brand),
	)
	if c.returnTo != "" {
		do(t, tab, chromedp.SetValue(chromedp.CSS(form+"[name=return_to]"), c.returnTo))
	}
	do(t, tab, chromedp.Click(chromedp.CSS(form+"button")))
}

// rows are those of one of the tables of the demo's page.
func (d *deskmint) rows(t *testing.T, table string) []string {
	t.Helper()
	_, text, _ := strings.Cut(d.home(t), `id="`+table+`"`)
	text, _, _ = strings.Cut(text, "</tbody>")
	return strings.Split(text, "<tr><td>")[1:]
}

func TestDemo(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	d := dev(t)
	port := portOf(t, d.sandbox)
	for n, c := range []struct {
		choice
		host, name, role string
	}{
		{choice{"acme-customers", "360001", 0, ""}, "acme", "Ana Customer", ""},
		{choice{"acme-customers", "360002", 0, "/hc/en-us/requests"}, "acme-labs", "Ana Customer", ""},
		{choice{"acme-customers", "360001", 1, "http://acme.localhost:" + port + "/hc/x"}, "acme", "Bao Customer", "end_user"},
		{choice{"acme-customers", "360002", 1, ""}, "acme-labs", "Bao Customer", "end_user"},
		{choice{"acme-staff", "360001", 2, ""}, "acme", "Chidi Agent", "agent"},
		{choice{"acme-staff", "360001", 3, "/agent/tickets"}, "acme", "Dana Admin", "admin"},
	} {
		tab := tab(t, browser)
		d.choose(t, tab, c.choice)
		do(t, tab, signedIn)
		path := c.returnTo
		if path == "" {
			path = "/hc/en-us"
		}
		want, err := url.Parse("http://" + c.host + ".localhost:" + port + "/")
		if err == nil {
			want, err = want.Parse(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		if at := evaluate(t, tab, "location.href"); at != want.String() {
			t.Errorf("%+v: ended at %s", c, at)
		}
		if who := evaluate(t, tab, `document.querySelector("#signed-in").innerText`); who != "Signed in as "+c.name {
			t.Errorf("%+v: %s", c, who)
		}
		rows := d.rows(t, "received")
		if len(rows) != n+1 || !strings.Contains(rows[0], "signed_in") || !strings.Contains(rows[0], c.configuration) ||
			(c.role != "") != strings.Contains(rows[0], "<code>role</code> "+c.role) {
			t.Errorf("%+v: of %d posts the latest is\n%s", c, len(rows), rows[0])
		}
	}
	d.silentOnErr(t)
}

// TestDemoRefusal: the person sees a page, the developer finds the reason on the demo's, and nothing is posted.
func TestDemoRefusal(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	d := dev(t)
	for n, c := range []struct {
		choice
		heading, reason string
	}{
		{choice{"acme-customers", "360001", 3, ""}, "You can't be signed in to Acme this way", "ROLE_NOT_ALLOWED"},
		{choice{"acme-customers", "360002", 2, ""}, "You can't be signed in to Acme Labs this way", "ROLE_NOT_ALLOWED"},
		{choice{"acme-staff", "360001", 0, ""}, "You can't be signed in to Acme this way", "ROLE_NOT_ALLOWED"},
		{choice{"acme-customers", "360001", 0, "https://evil.example/"}, "We can't sign you in to Acme", "RETURN_TO_NOT_ALLOWED"},
	} {
		tab := tab(t, browser)
		d.choose(t, tab, c.choice)
		do(t, tab, chromedp.WaitVisible(chromedp.CSS("main .brand")))
		if got := evaluate(t, tab, `document.querySelector("h1").innerText`); got != c.heading {
			t.Errorf("%+v: the person sees %q", c, got)
		}
		if rows := d.rows(t, "answered"); len(rows) != n+1 || !strings.Contains(rows[0], c.reason) || !strings.Contains(rows[0], c.configuration) {
			t.Errorf("%+v: the developer sees %q", c, rows)
		}
	}
	if rows := d.rows(t, "received"); len(rows) != 0 {
		t.Errorf("posted: %q", rows)
	}
}

// TestDemoForms that the page doesn't have; and the demo's hosts are not the sandbox's.
func TestDemoForms(t *testing.T) {
	t.Parallel()
	d := dev(t)
	for want, forms := range map[int][]url.Values{
		http.StatusBadRequest: {
			{},
			{"person": {"-1"}, "configuration": {"acme-customers"}},
			{"person": {"99"}, "configuration": {"acme-customers"}},
			{"person": {"x"}, "configuration": {"acme-customers"}},
			{"person": {"0"}, "configuration": {"acme-nowhere"}},
			{"person": {"0"}, "configuration": {"acme-customers:mintToken?x="}},
		},
		http.StatusForbidden: {{"person": {"0"}, "configuration": {"acme-customers"}, "brand": {"1"}}},
	} {
		for _, fields := range forms {
			response, err := http.PostForm("http://"+d.sandbox+"/sign-in", fields)
			if err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, response); got.status != want || strings.Contains(got.body, tokenStart) {
				t.Errorf("%v: %d %s", fields, got.status, got.body)
			}
		}
	}
	response, err := toSandbox(d.sandbox).Get("http://acme.localhost/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if b, _ := io.ReadAll(response.Body); !strings.Contains(string(b), "Signed out") {
		t.Errorf("acme.localhost: %s", b)
	}
}
