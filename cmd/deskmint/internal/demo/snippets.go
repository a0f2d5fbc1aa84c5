package demo

import (
	"strings"

	"github.com/deskmint/deskmint/service/config"
)

// snippet is a request as a program in one language.
type snippet struct{ Language, Code string }

// snippets returns programs that make a trace's request. Each prints the page, or passes it on.
func (d *pages) snippets(t trace) []snippet {
	if t.Request == "" {
		return nil
	}
	// Indented JSON never has three quotation marks in a row, and no line begins with BODY.
	fill := strings.NewReplacer("{URL}", d.client.rest+"/v1/configurations/"+t.Configuration+":renderPage",
		"{KEY}", config.DevKey, "{JSON}", indentJSON(t.Request),
		"{QUOTED}", strings.ReplaceAll(indentJSON(t.Request), "'", `'\''`))
	return []snippet{
		{"curl", fill.Replace(`curl -sS '{URL}' \
  -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json' \
  -d '{QUOTED}'`)},
		{"PHP", fill.Replace(`<?php
$body = <<<'BODY'
{JSON}
BODY;
$page = file_get_contents('{URL}', false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => ['Authorization: Bearer {KEY}', 'Content-Type: application/json'],
    'content' => $body,
    'ignore_errors' => true, // a refusal is a page, too
]]));
foreach ($http_response_header as $line) {
    header($line, false); // the policy of the page among them
}
echo $page;`)},
		{"Node", fill.Replace(`fetch("{URL}", {
  method: "POST",
  headers: { "Authorization": "Bearer {KEY}", "Content-Type": "application/json" },
  body: JSON.stringify({JSON}),
}).then(async (answer) => {
  // Pass answer.headers on as well: the policy of the page is among them.
  console.log(await answer.text());
});`)},
		{"Python", fill.Replace(`import urllib.request

body = r"""{JSON}"""
request = urllib.request.Request(
    "{URL}",
    body.encode(),
    {"Authorization": "Bearer {KEY}", "Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    # Pass answer.headers on as well: the policy of the page is among them.
    print(answer.read().decode())`)},
	}
}
