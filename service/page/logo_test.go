package page

import (
	"encoding/base64"
	"strings"
	"testing"
)

// The first bytes of each kind of image.
const (
	pngHead  = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	jpegHead = "\xff\xd8\xff\xe0\x00\x10JFIF\x00"
	gifHead  = "GIF89a\x01\x00\x01\x00"
	webpHead = "RIFF\x1a\x00\x00\x00WEBPVP8L"
	svgOpen  = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9">`
)

func dataURI(kind, image string) string {
	return "data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString([]byte(image))
}

// TestLogo checks that only images of their declared type are accepted.
func TestLogo(t *testing.T) {
	png := dataURI("png", pngHead)
	for name, test := range map[string]struct{ logo, want string }{
		"none":              {"", ""},
		"PNG":               {png, ""},
		"JPEG":              {dataURI("jpeg", jpegHead), ""},
		"GIF":               {dataURI("gif", gifHead), ""},
		"old GIF":           {dataURI("gif", "GIF87a"), ""},
		"WebP":              {dataURI("webp", webpHead), ""},
		"SVG":               {dataURI("svg+xml", svgOpen+`<path d="M0 0h9"/></svg>`), ""},
		"remote":            {"https://acme.com/logo.png", "must begin"},
		"HTML":              {dataURI("html", "<b>"), "must begin"},
		"HTML as text":      {"data:text/html;base64,AAAA", "must begin"},
		"parameter":         {"data:image/png;charset=utf-8;base64,AAAA", "must begin"},
		"upper case":        {"DATA:image/png;base64,AAAA", "must begin"},
		"not base64":        {"data:image/svg+xml,<svg/>", "must begin"},
		"bad base64":        {png + "A", "base64"},
		"loose bits":        {"data:image/png;base64,AAB=", "base64"},
		"two lines":         {png[:30] + "\n" + png[30:], "one line"},
		"nothing":           {"data:image/png;base64,", "one line"},
		"something after":   {png + `" onerror="`, "base64"},
		"GIF as PNG":        {dataURI("png", gifHead), "is declared as png, but contains gif"},
		"PNG as JPEG":       {dataURI("jpeg", pngHead), "is declared as jpeg, but contains png"},
		"JPEG as WebP":      {dataURI("webp", jpegHead), "is declared as webp, but contains jpeg"},
		"WebP as GIF":       {dataURI("gif", webpHead), "is declared as gif, but contains webp"},
		"PNG as SVG":        {dataURI("svg+xml", pngHead), "is declared as svg+xml, but contains png"},
		"SVG as PNG":        {dataURI("png", svgOpen+"</svg>"), "contains no supported image type"},
		"wave as WebP":      {dataURI("webp", "RIFF\x00\x00\x00\x00WAVEfmt \x00"), "contains no supported"},
		"HTML as PNG":       {dataURI("png", "<html><script>alert(1)</script>"), "contains no supported"},
		"cut off signature": {dataURI("png", pngHead[:7]), "contains no supported"},
		"largest": {
			dataURI("png", pngHead+strings.Repeat("x", (maxLogo-len("data:image/png;base64,"))/4*3-len(pngHead))),
			"",
		},
		"too large": {dataURI("png", pngHead+strings.Repeat("x", maxLogo/4*3)), "at most 65536"},
	} {
		checkLogoError(t, name, test.logo, test.want)
	}
}

func checkLogoError(t *testing.T, name, logo, want string) {
	t.Helper()
	switch err := checkLogo(logo); {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want an error with %q", name, err, want)
	case err != nil && len(err.Error()) > 200:
		t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
	}
}

// TestSVG checks that only self-contained SVG images are accepted.
func TestSVG(t *testing.T) {
	for _, test := range []struct{ svg, want string }{
		{`<?xml version="1.0" encoding="UTF-8"?>` + svgOpen + `</svg>`, ""},
		{
			`<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">` +
				svgOpen + `</svg>`,
			"",
		},
		{svgOpen + `<title>A &amp; B</title><!-- https://acme.com --></svg>`, ""},
		{svgOpen + `<metadata xmlns:r="urn:r" r:about="https://acme.com">https://acme.com</metadata></svg>`, ""},
		{
			svgOpen + `<linearGradient id="a"/><path fill="url(#a)" style="fill:url('#a')"/>` +
				`<use href="#a"/><use xlink:href="#a"/></svg>`,
			"",
		},
		{svgOpen + `<style>.a{fill:url( "#a" )} .b{color:red}</style></svg>`, ""},
		{svgOpen + `<image href="data:image/png;base64,iVBORw0KGgo="/></svg>`, ""},
		{svgOpen + `<animate attributeName="opacity" to="0"/></svg>`, ""},
		{svgOpen + `<script>alert(1)</script></svg>`, "<script>"},
		{svgOpen + `<SCRIPT href="#a"/></svg>`, "<SCRIPT>"},
		{svgOpen + `<g><x:script xmlns:x="http://www.w3.org/2000/svg"/></g></svg>`, "<script>"},
		{svgOpen + `<foreignObject><b/></foreignObject></svg>`, "<foreignObject>"},
		{svgOpen + `<path onclick="alert(1)"/></svg>`, "onclick"},
		{strings.Replace(svgOpen, "viewBox", `onload="alert(1)" viewBox`, 1) + `</svg>`, "onload"},
		{svgOpen + `<a href="javascript:alert(1)"/></svg>`, "<a> that refers"},
		{svgOpen + `<a xlink:href="https://acme.com"/></svg>`, "<a> that refers"},
		{svgOpen + `<image href="https://acme.com/a.png"/></svg>`, "<image> that refers"},
		{svgOpen + `<image href="data:image/svg+xml;base64,AAAA"/></svg>`, "<image> that refers"},
		{svgOpen + `<use href="/a.svg#b"/></svg>`, "<use> that refers"},
		{svgOpen + `<use href="&#x2f;/acme.com"/></svg>`, "<use> that refers"},
		{svgOpen + `<path fill="url(https://acme.com/a)"/></svg>`, "attribute fill"},
		{svgOpen + `<path style="fill:URL( 'https://acme.com/a')"/></svg>`, "attribute style"},
		{svgOpen + `<path style="fill:u\72l(//acme.com)"/></svg>`, "attribute style"},
		{svgOpen + `<style>@import "https://acme.com/a.css";</style></svg>`, "a style"},
		{svgOpen + `<style><![CDATA[a{background:image-set("//acme.com/a.png" 1x)}]]></style></svg>`, "a style"},
		{svgOpen + `<style>@font-face{src:url(//acme.com/f)}</style></svg>`, "a style"},
		{svgOpen + `<set attributeName="href" to="javascript:alert(1)"/></svg>`, "animates href"},
		{svgOpen + `<animate attributeName="xlink:href" values="a"/></svg>`, "animates xlink:href"},
		{svgOpen + `<set attributeName="onclick" to="alert(1)"/></svg>`, "animates onclick"},
		{`<?xml-stylesheet href="https://acme.com/a.css"?>` + svgOpen + `</svg>`, "processing instruction"},
		{`<!DOCTYPE svg [<!ENTITY a "b">]>` + svgOpen + `&a;</svg>`, "declarations"},
		{svgOpen + `&unknown;</svg>`, "can't be parsed"},
		{svgOpen, "can't be parsed"},
		{`<svg/>`, "not with an <svg> of its namespace"},
		{`<html xmlns="http://www.w3.org/1999/xhtml"><script/></html>`, "begins with <html>"},
		{`just text`, "has no <svg>"},
		{"", "one line"},
	} {
		checkLogoError(t, test.svg, dataURI("svg+xml", test.svg), test.want)
	}
}

// FuzzLogo checks that each accepted logo appears unchanged in the page.
func FuzzLogo(f *testing.F) {
	f.Add("svg+xml", svgOpen+`<path style="fill:url(#a)"/></svg>`)
	f.Add("png", pngHead)
	f.Fuzz(func(t *testing.T, kind, image string) {
		logo := dataURI(kind, image)
		if err := checkLogo(logo); err != nil {
			return
		}
		frame := acme()
		page := mustNew(t, Settings{Logo: logo}, frame).Render("a.b.c", "")
		if got := attribute(findAll(t, page, "img")[0], "src"); got != logo {
			t.Errorf("got %s, want %s", got, logo)
		}
	})
}
