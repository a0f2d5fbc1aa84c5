package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/page"
)

const (
	// previewEndpoint resolves nowhere (RFC 2606, section 2).
	previewEndpoint = "https://{subdomain}.preview.invalid"
	// previewToken could be taken for no token by anybody.
	previewToken = "preview"
	// previewPolicy adds to the page's own policy: of several, all must agree (CSP Level 3, section
	// 8.1). Without its script the page stays in the state that it is shown in, and its button does
	// nothing.
	previewPolicy = `<meta http-equiv="Content-Security-Policy" content="script-src 'none'; form-action 'none'">`
)

// previewed are the kinds of page beside the one that signs in.
var previewed = map[string]page.Problem{
	"failed":      page.ProblemFailed,
	"refused":     page.ProblemRefused,
	"unavailable": page.ProblemUnavailable,
	"disabled":    page.ProblemDisabled,
	"loop":        page.ProblemLoop,
	"used":        page.ProblemUsed,
}

// stateful is what the page's script shows and hides. No text of a brand's can look like it: its
// quotes are escaped.
var stateful = regexp.MustCompile(`data-state="([a-z ]+)"( hidden)?`)

// inState does what the script would. A browser that refuses to run scripts for a policy's sake
// still counts as one that does, and leaves out what stands in <noscript>: in that state the page
// has it outside.
func inState(html []byte, state string) []byte {
	if state == "noscript" {
		html = bytes.ReplaceAll(bytes.ReplaceAll(html, []byte("<noscript>"), nil), []byte("</noscript>"), nil)
	}
	if state == "" || state == "noscript" {
		state = "ready"
	}
	return stateful.ReplaceAllFunc(html, func(part []byte) []byte {
		states := string(stateful.FindSubmatch(part)[1])
		shown := `data-state="` + states + `"`
		if !slices.Contains(strings.Fields(states), state) {
			shown += " hidden"
		}
		return []byte(shown)
	})
}

// preview prints a page as it looks, from the configuration file alone: no service and no store is
// asked.
func (c renderCommand) preview(std streams) error {
	if c.Config == "" {
		return errors.New("--preview needs --config: it asks no running service")
	}
	snapshot, err := config.Load(c.Config, config.Options{Endpoint: previewEndpoint})
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(c.Configuration, "configurations/")
	conf, ok := snapshot.Configuration(name)
	if !ok {
		return fmt.Errorf("%s: no configuration %q: it has %s", c.Config, name, strings.Join(snapshot.Names(), ", "))
	}
	p := conf.Page(c.Brand, c.Language)
	if p == nil {
		return fmt.Errorf("%s: configuration %s has no brand %q", c.Config, name, c.Brand)
	}
	if c.State != "" && c.Problem != "" {
		return errors.New("--state is of the page that signs in, and --problem asks for another: leave one out")
	}
	html := inState(p.Render(previewToken, ""), c.State)
	if c.Problem != "" {
		html = p.RenderProblem(previewed[c.Problem])
	}
	before, after, ok := bytes.Cut(html, []byte("<head>\n"))
	if !ok {
		return errors.New("the page has no head to keep it from posting")
	}
	fmt.Fprintln(std.err, "a preview: it signs nobody in, runs no script and posts nowhere")
	_, err = fmt.Fprintf(std.out, "%s<head>\n%s\n%s", before, previewPolicy, after)
	return err
}
