package status_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deskmint/deskmint/service/ops/status"
)

func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	if err := status.NewRenderer().Write(w, fullPage()); err != nil {
		t.Fatal(err)
	}
	page := w.Body.String()
	_, body, _ := strings.Cut(page, "</style>")
	for _, want := range []string{
		"<title>Not ready · Deskmint status</title>", // above the style sheet
		"Load balancers should send no requests to this replica.",
		`conf.d/a.yaml:7: &#34;(an address)&#34; is protected twice`,
		`<li class="severe">`,
		"51 to 53 of 120.",
		`<a href="/?find=acme&amp;page=3">Next page</a>`,
		`<a href="/?find=acme">Previous page</a>`,
		`<a href="/?find=acme&amp;state=stale">stale</a> 1`,
		"12 succeeded, 1 failed",
		"behind this machine by 45 seconds",
		"equal, within a second",
		"jwt:corp/(an address)",
		"in 5 days",
		"7 more end later.",
		"failed, 60 seconds ago",
		"<code>5a5a5a5a5a5a5a5a…</code>",
		"98765432", `user.phone</th><td class="number">12`,
		"Anybody can forge a report. LOGOUT and NO_FAULT are no failures.",
		"<code>4f4f4f4f4f4f</code>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page doesn't have %q", want)
		}
	}
	for _, never := range []string{"@", "<script", " style=", " on", "4f4f4f4f4f4f4f"} {
		if strings.Contains(body, never+"click") || never != " on" && strings.Contains(body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if w.Code != 200 || strings.Contains(page, "ZgotmplZ") {
		t.Errorf("HTTP %d: %s", w.Code, page)
	}
}

func TestMoment(t *testing.T) {
	p := &status.Page{Now: now}
	for d, want := range map[time.Duration]string{
		0: "just now", 999 * time.Millisecond: "just now", -999 * time.Millisecond: "just now",
		-time.Second: "1 second ago", 90 * time.Second: "in 90 seconds", -3 * time.Minute: "3 minutes ago",
		119 * time.Minute: "in 119 minutes", -47 * time.Hour: "47 hours ago", 49 * time.Hour: "in 2 days",
	} {
		if got := p.Moment(now.Add(d)).Span; got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSelection(t *testing.T) {
	for query, want := range map[string]string{
		"":                                 "/?page=2",
		"find=a%26b&state=stale":           "/?find=a%26b&page=2&state=stale",
		"page=1":                           "/?page=2",
		"page=x&other=y":                   "/?page=2",
		"find=" + strings.Repeat("x", 100): "/?find=" + strings.Repeat("x", 64) + "&page=2",
		"find=" + strings.Repeat("日", 30):  "/?find=" + url.QueryEscape(strings.Repeat("日", 21)) + "&page=2",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := status.SelectionOf(values).At(2); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	s := status.Selection{Find: "AcMe", State: "usable"}
	if !s.Has("x", "The Acme", "usable") || !s.Has("acme", "x", "usable") || s.Has("acme", "x", "stale") ||
		s.Has("x", "x", "usable") {
		t.Error("the selection has other configurations")
	}
}
