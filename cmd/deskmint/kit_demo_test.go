package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// choice is the input of a form on the demo's home page.
type choice struct {
	configuration, brand string
	person               int // in the order of the page
	returnTo             string
}

// choose opens the demo's home page, fills in a form and submits it.
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

// rows returns the rows of the list of sign-ins, the newest first.
func (d *deskmint) rows(t *testing.T) []string {
	t.Helper()
	_, text, _ := strings.Cut(d.home(t), `id="traces"`)
	text, _, _ = strings.Cut(text, "</tbody>")
	return strings.Split(text, `<tr><td data-label="When">`)[1:]
}

// visit opens a page of the demo and returns the response.
func (d *deskmint) visit(t *testing.T, path string) answer {
	t.Helper()
	response, err := http.Get("http://" + d.sandbox + path)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response)
}

// submit posts a form of the demo and returns the page that it leads to.
func (d *deskmint) submit(t *testing.T, path string, fields url.Values) answer {
	t.Helper()
	response, err := http.PostForm("http://"+d.sandbox+path, fields)
	if err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, response)
}

var jwtField = regexp.MustCompile(`name="jwt" value="([^"]+)"`)

// signIn signs in as a browser does. It submits the demo's form, posts the token to the sandbox,
// and returns the page of the trace.
func (d *deskmint) signIn(t *testing.T, fields url.Values) string {
	t.Helper()
	if !fields.Has("person") {
		fields.Set("person", "0")
	}
	if !fields.Has("configuration") {
		fields.Set("configuration", "acme-customers")
	}
	page := d.submit(t, "/sign-in", fields)
	if found := jwtField.FindStringSubmatch(page.body); found != nil {
		client := toSandbox(d.sandbox)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		response, err := client.PostForm("http://acme.localhost:"+portOf(t, d.sandbox)+"/access/jwt", url.Values{
			"jwt": {found[1]},
		})
		if err != nil {
			t.Fatal(err)
		}
		target := response.Header.Get("Location")
		if readAnswer(t, response); strings.Contains(target, "/access/unauthenticated") {
			// The sandbox redirects to the remote logout URL, which is a page of the demo.
			response, err := client.Get(target)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			back, err := response.Location()
			if err != nil || back.Path != "/signed-out" {
				t.Fatalf("refused, and redirected to %v (%v)", back, err)
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
	text = strings.ReplaceAll(text, "<wbr>", "")
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
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
