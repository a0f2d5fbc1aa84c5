package zendesk_test

import "strings"

// returnToBypasses are shapes that have led some check or other astray, for the
// brand acme with the mapped hosts help.acme.com and hilfe.acme.de. Foreign ones are
// well formed and answered as a place that isn't the brand's; the others as text
// that is no return_to at all.
var returnToBypasses = []struct {
	name    string
	foreign bool
	shapes  []string
}{
	{"other schemes", true, []string{
		"javascript:alert(1)", "JavaScript:alert(1)", "javascript://acme.zendesk.com/%0aalert(1)", "javascript:/hc", "javascript:",
		"data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHNjcmlwdD4=", "vbscript:msgbox(1)", "blob:https://acme.zendesk.com/1",
		"filesystem:https://acme.zendesk.com/temporary/x", "file:///etc/passwd", "file://acme.zendesk.com/x", "view-source:https://acme.zendesk.com/",
		"about:blank", "mailto:jo@acme.com", "tel:+15551234567", "intent://acme.zendesk.com/#Intent;scheme=https;end", "ftp://acme.zendesk.com/",
		"ws://acme.zendesk.com/", "wss://acme.zendesk.com/", "http://acme.zendesk.com/", "http://help.acme.com/", "HTTP://acme.zendesk.com/",
		"http:acme.zendesk.com", "http:/hc", "http:evil.example", "httpss://acme.zendesk.com/", "shttps://acme.zendesk.com/", "https+x://acme.zendesk.com/",
		"acme.zendesk.com:443/hc", "evil.example:443/hc", "x:https://acme.zendesk.com/", "acme:///",
	}},
	{"no leading slash", false, []string{
		"", "hc", "evil.example", "evil.example/hc", "acme.zendesk.com", "acme.zendesk.com/hc", ".evil.example", "@evil.example", "./hc", "../hc", "..//evil.example",
		"?x", "#x", "?//evil.example", ";//evil.example", "%2f%2fevil.example", "%2Fevil.example", "%2f/evil.example", "%5c%5cevil.example", "https", "https%3a//evil.example",
		" ", " /hc", " //evil.example", "\u00a0//evil.example", "\u3000//evil.example", "\u200b//evil.example", "\ufeff/hc", "／／evil.example", "／hc", "%09//evil.example",
	}},
	{"unparsable", false, []string{
		":", "://evil.example", ":evil.example", " https://acme.zendesk.com/", "1https://acme.zendesk.com/", "%68ttps://acme.zendesk.com/", "-https://acme.zendesk.com/",
		"/%", "/%zz", "/%2", "/hc#%zz", "//evil%2eexample", "//e vil.example", "https://acme.zendesk.com:evil/", "https://acme.zendesk.com:443evil/",
		"https://acme.zendesk.com%00.evil.example/", "https://acme.zendesk.com%2f.evil.example/", "https://acme.zendesk.com%23.evil.example/",
		"https://acme.zendesk.com%3f.evil.example/", "https://acme.zendesk.com%5c.evil.example/", "https://acme.zendesk.com%40evil.example/",
		"https://acme.zendesk.com%0d%0a/", "https://acme.zendesk.com%20/", "https://acme%2ezendesk.com/", "https://acme.zendesk.com /", "https:// acme.zendesk.com/",
		"https://acme.zendesk.com%3a443/", "https://acme.zendesk.com%/", "https://[::1/", "https://[acme.zendesk.com/",
		"https://{subdomain}.zendesk.com/", "https://me%@acme.zendesk.com/", "https://me^x@acme.zendesk.com/",
	}},
	{"more slashes than one", true, []string{
		"//", "///", "////", "//evil.example", "//evil.example/", "///evil.example", "////evil.example", "/////evil.example//", "//acme.zendesk.com/hc",
		"//help.acme.com/", "//acme.zendesk.com@evil.example/", "//evil.example#", "//?x", "//#x", "//;@evil.example", "//evil.example:80/", "//[::1]/",
		"//0x7f000001/", "//2130706433/", "//192.0.2.1/", "//localhost/", "//../evil.example", "//./evil.example", "//evil。example", "//evil．example",
		"///acme.zendesk.com/hc", "//@evil.example", "//:80/", "//ＥＶＩＬ.example/",
	}},
	{"backslashes", false, []string{
		`\`, `\\`, `\/`, `/\`, `/\/`, `\\evil.example`, `\/evil.example`, `/\evil.example`, `/\/evil.example`, `//\evil.example`, `\/\/evil.example/`, `/hc\..\x`,
		`https:\\evil.example`, `https:/\evil.example`, `https:\evil.example`, `https://acme.zendesk.com\@evil.example/`, `https://evil.example\@acme.zendesk.com/`,
		`https://acme.zendesk.com\.evil.example/`, `https://acme.zendesk.com/\evil.example`, `/hc?x=\`, `/hc#\`, `\access\jwt`, `https:\\acme.zendesk.com/`,
	}},
	{"control characters", false, []string{
		"\t", "\n", "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", "\n//evil.example", "/\r\n/evil.example", "\x00//evil.example",
		"\x01//evil.example", "\x1f//evil.example", "/hc\x00", "/\x00/evil.example", "/\x0b/evil.example", "/\x0c/evil.example", "/\x7f/evil.example", "/\x1b[2J",
		"java\tscript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)", "ht\ttps://evil.example/", "https:/\t/evil.example/",
		"https://acme.zendesk.com\t.evil.example/", "https://acme.zendesk.com\n/", "https://acme.zendesk.com/\r\nSet-Cookie: x", "/hc\r\nLocation: https://evil.example",
		"\u0085//evil.example", "/\u0085/evil.example", "/hc\u009b", "/\u0080",
	}},
	{"bad UTF-8", false, []string{"/\xff", "/\xc0\xaf/evil.example", "\xc0\xaf\xc0\xafevil.example", "/hc\xed\xa0\x80", "https://acme.zendesk.com\xff/"}},
	{"other hosts", true, []string{
		"https://evil.example", "https://evil.example/", "https://evil.example/https://acme.zendesk.com/", "https://evil.example/?https://acme.zendesk.com/",
		"https://evil.example#https://acme.zendesk.com/", "https://acme.zendesk.com.evil.example/", "https://acme.zendesk.comevil.example/",
		"https://acme.zendesk.com-evil.example/", "https://acme.zendesk.com_evil.example/", "https://acme-zendesk.com/", "https://acmezendesk.com/",
		"https://evilacme.zendesk.com/", "https://evil.zendesk.com/", "https://acme-labs.zendesk.com/", "https://www.acme.zendesk.com/", "https://zendesk.com/",
		"https://.zendesk.com/", "https://acme.zendesk.com./", "https://acme.zendesk..com/", "https://.acme.zendesk.com/", "https://acme.zendesk.co/",
		"https://acme.zendesk.comm/", "https://acme.zendesk/", "https://acme/", "https://acme.com/", "https://xhelp.acme.com/", "https://help.acme.com.evil.example/",
		"https://help-acme.com/", "https://help.acme.co/", "https://acme.zendesk.com;evil.example/", "https://acme.zendesk.com,evil.example/",
		"https://acme.zendesk.com&evil.example/", "https://acme.zendesk.com$.evil.example/", "https://acme.zendesk.com'.evil.example/",
		"https://acme.zendesk.com!.evil.example/", "https://acme.zendesk.com*.evil.example/", "https://*.zendesk.com/", "https://acme.zendesk.com]/",
	}},
	{"the brand's host, but not to the byte", true, []string{
		"https://acme.zendesk.com", "https://acme.zendesk.com?x", "https://acme.zendesk.com#x", "https://acme.zendesk.com?@evil.example/", "https://acme.zendesk.com#@evil.example/",
		"https://help.acme.com", "HTTPS://acme.zendesk.com/", "Https://acme.zendesk.com/", "hTTPS://evil.example/", "https://ACME.zendesk.com/", "https://acme.Zendesk.com/",
		"https://acme.zendesk.COM/", "https://acme.zendesk.com:443/", "https://acme.zendesk.com:80/", "https://acme.zendesk.com:8443/", "https://acme.zendesk.com:/",
		"https://acme.zendesk.com:0443/", "https://acme.zendesk.com:99999/", "https://acme.zendesk.com:443@evil.example/", "https://acme.zendesk.com:0/",
	}},
	{"user info", true, []string{
		"https://acme.zendesk.com@evil.example/", "https://acme.zendesk.com:pw@evil.example/", "https://acme.zendesk.com%2f@evil.example/", "https://me@acme.zendesk.com/",
		"https://me:pw@acme.zendesk.com/", "https://@acme.zendesk.com/", "https://:@acme.zendesk.com/", "https://acme.zendesk.com@@evil.example/",
		"https://a@acme.zendesk.com@evil.example/", "https://evil.example@acme.zendesk.com/", "https://%40evil.example@acme.zendesk.com/", "https://acme.zendesk.com%20@evil.example/",
		"https://acme.zendesk.com%09@evil.example/",
	}},
	{"slashes after the scheme", true, []string{
		"https:", "https:/", "https://", "https:///", "https:acme.zendesk.com/", "https:/acme.zendesk.com/", "https:///acme.zendesk.com/", "https:////acme.zendesk.com/",
		"https:evil.example", "https:/evil.example", "https:///evil.example/", "https:////evil.example/", "https:?x", "https:#x", "https:@evil.example", "https:.evil.example",
		"https:%2f%2fevil.example/", "https:/%2fevil.example/", "https:/hc", "https:hc", "https:https://evil.example/", "https://https://evil.example/",
		"https:/.//evil.example", "https:;//evil.example/",
	}},
	{"look-alike letters", true, []string{
		"https://ａcme.zendesk.com/", "https://acme.zendesk。com/", "https://acme．zendesk.com/", "https://acme｡zendesk.com/", "https://\u0430cme.zendesk.com/",
		"https://acme.zendes\u212A.com/", "https://acme.zende\u017Fk.com/", "https://acme.zendesk.ⓒⓞⓜ/", "https://acme.zendesk.com\u200b/", "https://acme\u00ad.zendesk.com/",
		"https://acme.zendesk.com／.evil.example/", "https://acme.zendesk.com＠evil.example/", "https://acme.zendesk.com：443/", "https://acme.zendesk.com？.evil.example/",
		"https://acme.zendesk.com＃.evil.example/", "https://acme.zendesk.com＼.evil.example/", "https://acme.zendesk.com\u2100.evil.example/", "https://acme.zendesk.com\u2044.evil.example/",
		"https://acme.zendesk.com\u2215.evil.example/", "https://xn--cme-5cd.zendesk.com/", "https://ａｃｍｅ.zendesk.com/", "https://acme.zendesk.com\u3002/",
		"https://acme.zendesk.com\u2028/", "https://acme.zendesk.com\u202e/",
	}},
	{"addresses", true, []string{
		"https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://2130706433/", "https://0x7f.1/", "https://017700000001/", "https://127.1/",
		"https://169.254.169.254/latest/meta-data/", "https://localhost/", "https://acme.localhost/", "http://acme.localhost/", "http://localhost:8081/", "http://127.0.0.1:8081/",
		"https://0/", "https://[::]/",
	}},
	// A browser stays at the brand. A server that shortens or decodes the path before it
	// redirects makes two slashes of these.
	{"two slashes in the end", true, []string{
		"/.//evil.example", "/..//evil.example", "/././/evil.example", "/hc/..//evil.example", "/hc/../..//evil.example", "/hc/.././/evil.example",
		"/%2fevil.example", "/%2Fevil.example", "/%2f%2fevil.example", "/%252fevil.example", "/%25252fevil.example", "/%5cevil.example", "/%5Cevil.example", "/%255cevil.example",
		"/%5c%5cevil.example", "/%2e//evil.example", "/%2e%2e//evil.example", "/%2e%2f/evil.example", "/.%2f/evil.example", "/hc%2f..%2f/evil.example",
		"/%2f", "/.//", "/hc/../%5cevil.example", "/%2f%25zz/evil.example",
		"https://acme.zendesk.com//evil.example", "https://acme.zendesk.com//..", "/%2f..", "https://acme.zendesk.com/.//evil.example", "https://acme.zendesk.com/%2fevil.example", "https://acme.zendesk.com/%5cevil.example",
		"https://help.acme.com///evil.example",
	}},
	// Browsers drop tabs and line breaks, and servers put a decoded path in a header.
	{"control characters in the end", true, []string{
		"/%09/evil.example", "/%2509/evil.example", "/%252509/evil.example", "/%0a/evil.example", "/%0d%0aX:1", "/hc/%0D%0ALocation:%20https:%2f%2fevil.example",
		"/hc%250d%250aX:1", "/hc%25250aX:1", "/%00", "/hc/%1f", "/hc/%1b[2J", "/hc/%7f", "/hc/%257F", "/a%09ccess/jwt", "/hc/.%09./access/jwt", "/%25zz/%09",
		"https://acme.zendesk.com/%09/evil.example", "https://help.acme.com/hc/%0d%0aX:1",
	}},
	{"where Zendesk signs people in and out", true, []string{
		"/access/../hc", "/x/../access/%2e%2e/hc", "/access/%2e%2e/hc", "/access/..%2fhc", "/access/.%2e/hc", "/access/%252e%252e/hc", "/auth/%2e%2e/hc", "/access//../hc", "/x//../access/jwt", "/access%2f..%2fhc",
		"/access", "/access/", "/access/jwt", "/access/logout", "/access/unauthenticated", "/access?x", "/access#x", "/access/?return_to=/hc", "/auth", "/auth/", "/auth/v2/login/sso",
		"/ACCESS/jwt", "/Access/", "/aUtH/x", "/%61ccess/jwt", "/acces%73/jwt", "/%41CCESS/jwt", "/%61%63%63%65%73%73/jwt", "/access%2fjwt", "/access%2Fjwt", "/access%5cjwt",
		"/auth%2f", "/%61uth/", "/%2561ccess/jwt", "/%252561ccess/jwt", "/access%252fjwt", "/%2561ccess/%25zz", "/%2561ccess/jwt%25", "/access%252fjwt/%25",
		"/./access/jwt", "/hc/../access/jwt", "/hc/en/../../access/jwt", "/../access/", "/../../auth/", "/hc/%2e%2e/access/jwt", "/hc/%2E%2E/access", "/hc/.%2e/access/",
		"/hc/..%2faccess/jwt", "/hc/%252e%252e/access/", "/hc/%2e%2e%2faccess%2fjwt", "/hc//../../access/jwt", "/.//access/jwt", "/%2e/access/jwt", "/%2faccess/jwt",
		"/%2f%2faccess/jwt", "/%5caccess/jwt", "/hc/%5c..%5c..%5caccess%5cjwt", "/access/../access/", "/access/./", "/access/%2e/jwt", "/access//jwt", "/access/jwt/",
		"https://acme.zendesk.com/access", "https://acme.zendesk.com/access/jwt", "https://acme.zendesk.com//access/jwt", "https://acme.zendesk.com/hc/../access/",
		"https://acme.zendesk.com/%61ccess/jwt", "https://acme.zendesk.com/auth/v3/signin", "https://help.acme.com/auth/", "https://help.acme.com/./access/logout",
		"https://acme.zendesk.com/access/jwt?jwt=x", "https://acme.zendesk.com/../access/",
	}},
	{"too long", false, []string{"/" + strings.Repeat("x", 2048), "https://acme.zendesk.com/" + strings.Repeat("x", 2024), "/" + strings.Repeat(" ", 683)}},
}
