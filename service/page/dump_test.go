package page

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestDump(t *testing.T) {
	to := os.Getenv("DUMP")
	if to == "" {
		return
	}
	var out strings.Builder
	names := []string{"Acme", "A+B", `Acme <&> "Söhne"`, "a", "0", "{brand}", "{{.Token}}", "Black or White", "</title>", "en", "#1f73b7", "to", "A`=/'b", "Signing you in to", "é\u200D漢字"}
	for i, n := range names {
		for _, logo := range []string{"", "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=", "data:image/png;base64,iVBORw0KGgo+/w=="} {
			for _, own := range []string{"", n, "x+y </h1>"} {
				for _, lang := range []string{"", "en", "de-AT", "zh-Hant-TW", "fa"} {
					f := acme()
					f.Brand = n
					f.Action = "https://acme.zendesk.com/access/jwt?brand_id=1&x=%22%3Ca%3E ü'(" + n[:1]
					f.Scope = "c+" + n + "/" + fmt.Sprint(i)
					if i%2 == 1 {
						f.LoopLimit, f.LoopWindow, f.ReferrerPolicy = 1000, 1500*time.Millisecond, "strict-origin"
					}
					p, err := New(Settings{Language: lang, Title: own, Message: own, Button: own, Logo: logo, Color: []string{"", "#FFD400"}[i%2]}, f)
					if err != nil {
						fmt.Fprintf(&out, "error %v\n", err)
						continue
					}
					fmt.Fprintf(&out, "%v\n%s\n", p.Headers(), p.ContentSecurityPolicy())
					out.Write(p.Render("a.b.c", ""))
					out.Write(p.Render("a.b.c+", "/x?a&b+\r"))
					for k := range problems {
						out.Write(p.RenderProblem(k))
					}
				}
			}
		}
	}
	if err := os.WriteFile(to, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
