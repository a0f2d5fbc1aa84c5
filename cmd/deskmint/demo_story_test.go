package main

import (
	"context"
	"html"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/deskmint/deskmint/service/page/browsertest"
)

var snippetBlock = regexp.MustCompile(`(?s)aria-label="(\w+)" id="snippet-\d+"[^>]*>(.*?)</pre>`)

// TestDemoSnippets runs the programs that a trace shows. Each gets the page of a new token, whatever
// characters the request has.
func TestDemoSnippets(t *testing.T) {
	t.Parallel()
	d := dev(t)
	trace := d.signIn(t, url.Values{"organizations": {`O'Neil "& $HOME \ ` + "`Sons` 東京 </pre>"}})
	contains(t, "the trace", trace, "POST /access/jwt HTTP/1.1\nHost: acme.localhost:"+portOf(t, d.sandbox),
		"jwt=THE-TOKEN", "<code>Content-Security-Policy</code>", `title="The page that posts the form"`,
		"name=&#34;jwt&#34; value=&#34;THE-TOKEN&#34;")
	checkShown(t, false, trace, tokenStart)
	run := map[string][]string{
		"curl": {"bash", "-c"}, "Node": {"node", "-e"}, "Python": {"python3", "-c"}, "PHP": {"php", "-r"},
	}
	found := snippetBlock.FindAllStringSubmatch(trace, -1)
	if len(found) != len(run) {
		t.Fatalf("%d programs, want %d:\n%s", len(found), len(run), trace)
	}
	for _, snippet := range found {
		name, code := snippet[1], strings.TrimPrefix(html.UnescapeString(snippet[2]), "<?php")
		if _, err := exec.LookPath(run[name][0]); err != nil {
			t.Logf("not run: %v", err)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), longTimeout)
			defer cancel()
			program := exec.CommandContext(ctx, run[name][0], append(slices.Clone(run[name][1:]), code)...)
			program.Env = append(os.Environ(), "no_proxy=*")
			out, err := program.CombinedOutput()
			if err != nil || !jwtField.Match(out) {
				t.Errorf("%v\n%s\nprinted\n%s", err, code, out)
			}
		})
	}
}

// TestDemoOperator checks the operator's table: what was decided, why, and what to do.
func TestDemoOperator(t *testing.T) {
	t.Parallel()
	d := dev(t)
	contains(t, "in the beginning", d.visit(t, "/operator").body, "No decision yet.", "None.")
	d.signIn(t, url.Values{})
	d.signIn(t, url.Values{"person": {"3"}})
	d.signIn(t, url.Values{"person": {"3"}})
	d.submit(t, "/faults", url.Values{"fault": {"rate"}, "on": {"yes"}})
	d.signIn(t, url.Values{})
	page := d.visit(t, "/operator").body
	contains(t, "the page", page,
		"<strong>2 times</strong> refused by Deskmint: <code>ROLE_NOT_ALLOWED</code>",
		"<strong>once</strong> reported by Zendesk: <code>RATE_LIMITED</code>",
		`<span class="good">allow</span>`, `<span class="bad">deny</span>`,
		"The app may not give this role. <code>ROLE_NOT_ALLOWED</code>",
		"Rule: <code>callers[0].grants[0].roles</code>",
		"ana@customer.example", "<details><summary>JSON</summary>", "&#34;decision&#34;: &#34;deny&#34;")
	if n := strings.Count(page, `<tr><td data-label="Time">`); n != 5 {
		t.Errorf("%d rows, want 5:\n%s", n, page)
	}
}

// TestDemoPreselects checks that each form has chosen a person whom its configuration signs in.
func TestDemoPreselects(t *testing.T) {
	t.Parallel()
	_, customers, _ := strings.Cut(dev(t).home(t), `value="acme-customers"`)
	customers, staff, _ := strings.Cut(customers, `value="acme-staff"`)
	contains(t, "the form of customers", customers, `value="0" required checked>`)
	contains(t, "the form of team members", staff, `value="2" required checked>`)
	if n := strings.Count(customers+staff, "required checked"); n != 2 {
		t.Errorf("%d people are chosen, want 2", n)
	}
}

// TestDemoLoop signs in until the page takes it for a loop. The page leads to the trace, and a fault
// that was switched starts a new count.
func TestDemoLoop(t *testing.T) {
	t.Parallel()
	browser := browsertest.New(t)
	d := dev(t)
	tab := tab(t, browser)
	ana := choice{"acme-customers", "360001", 0, ""}
	d.submit(t, "/faults", url.Values{"fault": {"rate"}, "on": {"yes"}})
	for range 3 {
		d.choose(t, tab, ana)
		do(t, tab, chromedp.WaitVisible(chromedp.CSS("#failure")))
	}
	d.choose(t, tab, ana)
	do(t, tab, chromedp.WaitVisible(chromedp.CSS("section[data-state=loop]")), chromedp.Click(chromedp.CSS(".out a")),
		chromedp.WaitVisible(chromedp.CSS("#waiting")))
	contains(t, "the trace", evaluate(t, tab, "document.body.innerText"), "it has stopped a loop")
	do(t, tab, chromedp.Click(chromedp.CSS(".banner a")),
		chromedp.Click(chromedp.CSS("form:has([value=rate]) button")), chromedp.WaitNotPresent(chromedp.CSS(".banner")))
	d.choose(t, tab, ana)
	do(t, tab, signedIn)
}

// TestDevGreetsFirst checks that a terminal shows the addresses, the link and a command line before
// the log.
func TestDevGreetsFirst(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var terminal transcript
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		args := append([]string{"dev", "--sandbox-listen", "127.0.0.1:0"}, anyPort...)
		if err := run(ctx, args, streams{strings.NewReader(""), &terminal, &terminal}); err != nil {
			t.Error(err)
		}
	}()
	text, ok := terminal.await("secret loaded", ended)
	stop()
	<-ended
	first := regexp.MustCompile(`^(\w+=\S+\n){4}ready\n\n.*\n\n    http://localhost:\d+/\n\n.*\n\ncurl `)
	if !ok || !first.MatchString(text) || strings.Index(text, "level=") < strings.Index(text, "Ctrl-C") {
		t.Errorf("the terminal shows\n%s", text)
	}
}
