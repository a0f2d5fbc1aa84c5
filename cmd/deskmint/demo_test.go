package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	d := dev(t)
	port := portOf(t, d.sandbox)
	for n, c := range []struct {
		choice
		host, name string
	}{
		{choice{"acme-customers", "360001", 0, ""}, "acme", "Ana Customer"},
		{choice{"acme-customers", "360002", 1, "/hc/en-us/requests"}, "acme-labs", "Bao Customer"},
		{choice{"acme-customers", "360001", 1, "http://acme.localhost:" + port + "/hc/x"}, "acme", "Bao Customer"},
		{choice{"acme-staff", "360001", 2, ""}, "acme", "Chidi Agent"},
		{choice{"acme-staff", "360001", 3, "/agent/tickets"}, "acme", "Dana Admin"},
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
		rows := d.rows(t)
		if len(rows) != n+1 {
			t.Fatalf("%+v: of %d sign-ins there are %d", c, n+1, len(rows))
		}
		contains(t, "the latest sign-in", rows[0], c.name, c.configuration, "page given", "signed in")
		// The last page has a link to the trace.
		do(t, tab, chromedp.Click(chromedp.CSS("#explain")), chromedp.WaitVisible(chromedp.CSS(".steps")))
		contains(t, "the trace", evaluate(t, tab, `document.querySelector("h1").innerText`), c.name)
	}
	d.checkNoSecretsButGreeting(t)
}

// TestDemoFailure checks that a browser whose sign-in Zendesk refuses ends at a page that explains
// the failure. No page of the demo violates its own content security policy.
func TestDemoFailure(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	d := dev(t)
	tab := tab(t, browser)
	var violations atomic.Int64
	if err := chromedp.Listen(tab, func(event any) {
		if parsed, ok := event.(*cdplog.EventEntryAdded); ok &&
			strings.Contains(parsed.Entry.Text, "Content Security Policy") {
			violations.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	home := "http://localhost:" + portOf(t, d.sandbox)
	goTo(t, tab, home+"/faults")
	do(t, tab,
		chromedp.Click(chromedp.CSS(`form:has([value=ahead]) button`)),
		chromedp.WaitVisible(chromedp.CSS(".banner")),
	)
	d.choose(t, tab, choice{"acme-customers", "360002", 0, ""})
	do(t, tab, chromedp.WaitVisible(chromedp.CSS("#failure")))
	contains(t, "the operator's part", evaluate(t, tab, `document.querySelector("#failure").innerText`),
		"SIGN_IN_FAILURE_CLASS_CLOCK")
	contains(t, "Zendesk's part", evaluate(t, tab, `document.querySelector("#message").innerText`),
		"Invalid iat parameter.")
	framed := evaluate(t, tab, `document.querySelector("iframe[title*=sees]").srcdoc`)
	if !strings.Contains(framed, "Acme Labs") ||
		strings.Contains(framed, "iat") {
		t.Errorf("the person sees %s", framed)
	}
	for _, path := range []string{"/", "/secrets", "/operator"} {
		goTo(t, tab, home+path)
		do(t, tab, chromedp.WaitVisible(chromedp.CSS(fmt.Sprintf(`nav [href=%q][aria-current]`, path))))
	}
	if n := violations.Load(); n != 0 {
		t.Errorf("the browser reported %d violations", n)
	}
}

// TestDemoRefusal checks that nothing is posted to Zendesk if Deskmint refuses. The trace has the
// reason and the page that the person sees.
func TestDemoRefusal(t *testing.T) {
	t.Parallel()
	d := dev(t)
	for n, c := range []struct{ configuration, brand, person, returnTo, heading, reason string }{
		{"acme-customers", "360001", "3", "", "You can&#39;t be signed in to Acme this way", "ROLE_NOT_ALLOWED"},
		{"acme-customers", "360002", "2", "", "You can&#39;t be signed in to Acme Labs this way", "ROLE_NOT_ALLOWED"},
		{"acme-staff", "360001", "0", "", "You can&#39;t be signed in to Acme this way", "ROLE_NOT_ALLOWED"},
	} {
		fields := url.Values{
			"configuration": {c.configuration},
			"brand":         {c.brand},
			"person":        {c.person},
			"return_to":     {c.returnTo},
		}
		trace := d.submit(t, "/sign-in", fields)
		contains(t, "the trace", trace.body, `id="reason"`, c.reason, "&#34;decision&#34;: &#34;deny&#34;",
			personFrame)
		rows := d.rows(t)
		if len(rows) != n+1 {
			t.Fatalf("%d rows", len(rows))
		}
		contains(t, "the list", rows[0], c.reason, "never asked")
		page := d.visit(t, fmt.Sprintf("/traces/%d/page", n+1))
		// The policy of the trace's page also applies to the page in the frame. It must allow its
		// style.
		_, style, _ := strings.Cut(page.body, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		contains(t, "the policy of the trace", trace.header.Get("Content-Security-Policy"),
			"'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		contains(t, "the person's page", page.body, c.heading)
		if page.status != http.StatusForbidden || strings.Contains(page.body, c.reason) {
			t.Errorf("the person's page: %d %s", page.status, page.body)
		}
	}
	if users := toSandboxPage(t, d, "/sandbox/users"); !strings.Contains(users, "Nobody yet.") {
		t.Errorf("posted: %s", users)
	}
}

// TestDemoForms checks that the demo refuses forms that its page doesn't have, and that the hosts
// of brands lead to the sandbox.
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
