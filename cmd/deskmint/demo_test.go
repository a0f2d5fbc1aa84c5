package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	cdplog "github.com/chromedp/cdproto/log"
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

// rows are those of the list of what has happened, the latest first.
func (d *deskmint) rows(t *testing.T) []string {
	t.Helper()
	_, text, _ := strings.Cut(d.home(t), `id="stories"`)
	text, _, _ = strings.Cut(text, "</tbody>")
	return strings.Split(text, "<tr><td>")[1:]
}

// visit opens a page of the demo and returns what it shows.
func (d *deskmint) visit(t *testing.T, path string) answer {
	t.Helper()
	response, err := http.Get("http://" + d.sandbox + path)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response)
}

// press posts a form of the demo's, and returns the page it leads to.
func (d *deskmint) press(t *testing.T, path string, fields url.Values) answer {
	t.Helper()
	response, err := http.PostForm("http://"+d.sandbox+path, fields)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response)
}

var jwtField = regexp.MustCompile(`name="jwt" value="([^"]+)"`)

// signIn goes the whole way without a browser: it presses the demo's button, posts the form, and returns the story.
func (d *deskmint) signIn(t *testing.T, fields url.Values) string {
	t.Helper()
	if !fields.Has("person") {
		fields.Set("person", "0")
	}
	if !fields.Has("configuration") {
		fields.Set("configuration", "acme-customers")
	}
	page := d.press(t, "/sign-in", fields)
	if found := jwtField.FindStringSubmatch(page.body); found != nil {
		client := toSandbox(d.sandbox)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		response, err := client.PostForm("http://acme.localhost:"+portOf(t, d.sandbox)+"/access/jwt", url.Values{"jwt": {found[1]}})
		if err != nil {
			t.Fatal(err)
		}
		target := response.Header.Get("Location")
		if readAnswer(t, response); strings.Contains(target, "/access/unauthenticated") {
			// The sandbox sends the browser to the remote logout URL, which is the demo's.
			response, err := client.Get(target)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			back, err := response.Location()
			if err != nil || back.Path != "/signed-out" {
				t.Fatalf("refused, and sent to %v (%v)", back, err)
			}
			return d.visit(t, back.RequestURI()).body
		}
	}
	_, latest, _ := strings.Cut(d.rows(t)[0], `href="`)
	latest, _, _ = strings.Cut(latest, `"`)
	return d.visit(t, latest).body
}

func contains(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	if _, body, ok := strings.Cut(text, "</head>"); ok {
		text = body
	}
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

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
		// From where the person ended it is one click to the story.
		do(t, tab, chromedp.Click(chromedp.CSS("#explain")), chromedp.WaitVisible(chromedp.CSS(".steps")))
		contains(t, "the story", evaluate(t, tab, `document.querySelector("h1").innerText`), c.name)
	}
	d.silentOnErr(t)
}

// TestDemoFailure: a browser whose sign-in Zendesk refuses ends at a page that explains it, and nothing of the demo
// offends against its own policy.
func TestDemoFailure(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	d := dev(t)
	tab := tab(t, browser)
	var complaints atomic.Int64
	if err := chromedp.Listen(tab, func(event any) {
		if said, ok := event.(*cdplog.EventEntryAdded); ok && strings.Contains(said.Entry.Text, "Content Security Policy") {
			complaints.Add(1)
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
	contains(t, "the operator's part", evaluate(t, tab, `document.querySelector("#failure").innerText`), "SIGN_IN_FAILURE_CLASS_CLOCK")
	contains(t, "Zendesk's part", evaluate(t, tab, `document.querySelector("#message").innerText`), "Invalid iat parameter.")
	if framed := evaluate(t, tab, `document.querySelector("iframe").srcdoc`); !strings.Contains(framed, "Acme Labs") || strings.Contains(framed, "iat") {
		t.Errorf("the person sees %s", framed)
	}
	for _, path := range []string{"/", "/secrets", "/operator"} {
		goTo(t, tab, home+path)
		do(t, tab, chromedp.WaitVisible(chromedp.CSS(fmt.Sprintf(`nav [href=%q][aria-current]`, path))))
	}
	if n := complaints.Load(); n != 0 {
		t.Errorf("the browser complained %d times", n)
	}
}

// TestDemoRefusal: what Deskmint refuses is posted nowhere; the person's page and the reason are in the story.
func TestDemoRefusal(t *testing.T) {
	t.Parallel()
	d := dev(t)
	for n, c := range []struct{ configuration, brand, person, returnTo, heading, reason string }{
		{"acme-customers", "360001", "3", "", "You can&#39;t be signed in to Acme this way", "ROLE_NOT_ALLOWED"},
		{"acme-customers", "360002", "2", "", "You can&#39;t be signed in to Acme Labs this way", "ROLE_NOT_ALLOWED"},
		{"acme-staff", "360001", "0", "", "You can&#39;t be signed in to Acme this way", "ROLE_NOT_ALLOWED"},
		{"acme-customers", "360001", "0", "https://evil.example/", "We can&#39;t sign you in to Acme", "RETURN_TO_NOT_ALLOWED"},
	} {
		fields := url.Values{"configuration": {c.configuration}, "brand": {c.brand}, "person": {c.person}, "return_to": {c.returnTo}}
		story := d.press(t, "/sign-in", fields)
		contains(t, "the story", story.body, `id="reason"`, c.reason, "&#34;decision&#34;: &#34;deny&#34;", "<iframe sandbox srcdoc=")
		rows := d.rows(t)
		if len(rows) != n+1 {
			t.Fatalf("%d rows", len(rows))
		}
		contains(t, "the list", rows[0], c.reason, "never asked")
		page := d.visit(t, fmt.Sprintf("/stories/%d/page", n+1))
		// In the frame the person's page is under the story's policy, which must let its style be.
		_, style, _ := strings.Cut(page.body, "<style>")
		style, _, _ = strings.Cut(style, "</style>")
		sum := sha256.Sum256([]byte(style))
		contains(t, "the story's policy", story.header.Get("Content-Security-Policy"), "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		contains(t, "the person's page", page.body, c.heading)
		if page.status != http.StatusForbidden || strings.Contains(page.body, c.reason) {
			t.Errorf("the person's page: %d %s", page.status, page.body)
		}
	}
	if users := toSandboxPage(t, d, "/sandbox/users"); !strings.Contains(users, "Nobody yet.") {
		t.Errorf("posted: %s", users)
	}
}

func toSandboxPage(t *testing.T, d *deskmint, path string) string {
	t.Helper()
	response, err := toSandbox(d.sandbox).Get("http://acme.localhost:" + portOf(t, d.sandbox) + path)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response).body
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
