package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/zendesk"
)

const (
	// previewAction is the form's action for a subdomain. It never resolves (RFC 2606, section 2).
	previewAction = "https://%s.preview.invalid" + zendesk.Path
	// previewToken is in the place of a token. It has no similarity to one.
	previewToken = "preview"
	// previewPolicy is an addition to the policy of the page. If there are several policies, the
	// browser applies all of them (CSP Level 3, section 8.1). Without its script the page stays in
	// the state of the preview, and its button does nothing.
	previewPolicy = `<meta http-equiv="Content-Security-Policy" content="script-src 'none'; form-action 'none'">`
)

// previewVars list the values of --state and --problem, for the command line's help.
var previewVars = kong.Vars{
	"states":   "ready,sending,slow,blocked,loop,used,noscript",
	"problems": "failed,refused,unavailable,disabled,late,other_way,not_created,conflict,loop,used",
}

// previewProblems are the values of --problem.
var previewProblems = map[string]page.Problem{
	"failed":      page.ProblemFailed,
	"refused":     page.ProblemRefused,
	"unavailable": page.ProblemUnavailable,
	"disabled":    page.ProblemDisabled,
	"late":        page.ProblemLate,
	"other_way":   page.ProblemOtherWay,
	"not_created": page.ProblemNotCreated,
	"conflict":    page.ProblemConflict,
	"loop":        page.ProblemLoop,
	"used":        page.ProblemUsed,
}

// stateAttributes matches the attributes of the elements that the page's script shows and hides. A
// brand's text can't match, because its quotes are escaped.
var stateAttributes = regexp.MustCompile(`data-state="([a-z ]+)"( hidden)?`)

// inState shows the elements of a state and hides the others, as the page's script does. For the
// state noscript it also removes the <noscript> tags and keeps their contents. A browser whose
// policy forbids scripts still supports them, so it wouldn't display these contents.
func inState(html []byte, state string) []byte {
	if state == "noscript" {
		html = bytes.ReplaceAll(bytes.ReplaceAll(html, []byte("<noscript>"), nil), []byte("</noscript>"), nil)
	}
	if state == "" || state == "noscript" {
		state = "ready"
	}
	return stateAttributes.ReplaceAllFunc(html, func(part []byte) []byte {
		states := string(stateAttributes.FindSubmatch(part)[1])
		shown := `data-state="` + states + `"`
		if !slices.Contains(strings.Fields(states), state) {
			shown += " hidden"
		}
		return []byte(shown)
	})
}

// preview prints a page from the configuration file alone. It uses neither a running service nor
// the store.
func (c renderCommand) preview(std streams) error {
	if c.Config == "" {
		return errors.New("--preview needs --config: it doesn't use a running service")
	}
	snapshot, err := config.Load(c.Config, config.Options{})
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
		return errors.New("--state is for the sign-in page, and --problem selects another page: leave one out")
	}
	brand := conf.Profile.Brand(c.Brand)
	html := bytes.ReplaceAll(p.Render(previewToken, ""), []byte(brand.Action),
		fmt.Appendf(nil, previewAction, brand.Subdomain))
	html = inState(html, c.State)
	if c.Problem != "" {
		html = p.RenderProblem(previewProblems[c.Problem])
	}
	before, after, ok := bytes.Cut(html, []byte("<head>\n"))
	if !ok {
		return errors.New("the page has no head for the policy of a preview")
	}
	fmt.Fprintln(std.err, "a preview: it has no token, runs no script and posts nothing")
	_, err = fmt.Fprintf(std.out, "%s<head>\n%s\n%s", before, previewPolicy, after)
	return err
}
