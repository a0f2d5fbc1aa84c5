package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/page"
)

const (
	// previewEndpoint resolves nowhere (RFC 2606, section 2).
	previewEndpoint = "https://{subdomain}.preview.invalid"
	// previewToken could be taken for no token by anybody.
	previewToken = "preview"
	// previewPolicy adds to the page's own policy: of several, all must agree (CSP Level 3, section 8.1). Without
	// its script the page stands still as people see it whose browser runs none, and its button does nothing.
	previewPolicy = `<meta http-equiv="Content-Security-Policy" content="script-src 'none'; form-action 'none'">`
)

// previewed are the kinds of page beside the one that signs in.
var previewed = map[string]page.Problem{
	"failed":      page.ProblemFailed,
	"refused":     page.ProblemRefused,
	"unavailable": page.ProblemUnavailable,
	"disabled":    page.ProblemDisabled,
	"loop":        page.ProblemLoop,
}

// preview prints a page as it looks, from the configuration file alone: no service and no store is asked.
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
	html := p.Render(previewToken, "")
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
