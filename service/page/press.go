package page

import (
	"fmt"
	"html/template"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// press is what every page is made with. It is set up once and doesn't change: what the pages of one language have in
// common is held once, however many brands there are.
type press struct {
	templates *template.Template
	matcher   language.Matcher
	editions  []edition // as in the catalogue
}

// edition is what the pages of one language have in common.
type edition struct {
	texts texts
	named documents // the brand's name stands on the page
	drawn documents // the brand's logo does
}

// documents are what can be made of one page's values.
type documents struct {
	plain    skeleton // token
	returnTo skeleton // token, return_to
	problems [problems]skeleton
}

var thePress = sync.OnceValues(func() (*press, error) { return newPress(catalogue) })

func newPress(catalogue []texts) (*press, error) {
	templates, err := template.New("page").Parse(markup)
	if err != nil {
		return nil, err
	}
	p := &press{templates: templates}
	var tags []language.Tag
	for _, t := range catalogue {
		e := edition{texts: t}
		v := markedView(t)
		if e.named, err = p.documents(v); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Language, err)
		}
		v.Logo = template.URL(fieldLogo.mark()) //nolint:gosec // nobody's but ours
		if e.drawn, err = p.documents(v); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Language, err)
		}
		p.editions, tags = append(p.editions, e), append(tags, t.Language)
	}
	p.matcher = language.NewMatcher(tags)
	return p, nil
}

// edition returns the one that is nearest to the language asked for.
func (p *press) edition(want language.Tag) *edition {
	_, index, _ := p.matcher.Match(want)
	return &p.editions[index]
}

// documents cuts open what the templates make of a view that holds marks.
func (p *press) documents(v view) (d documents, err error) {
	v.Token = fieldToken.mark()
	if d.plain, err = p.skeleton("sign-in", v); err != nil {
		return documents{}, err
	}
	v.ReturnTo = fieldReturnTo.mark()
	if d.returnTo, err = p.skeleton("sign-in", v); err != nil {
		return documents{}, err
	}
	for i := range problems {
		said := v.Texts.problem(i)
		v.Title, v.Message = said.Heading, said.Text
		if d.problems[i], err = p.skeleton("problem", v); err != nil {
			return documents{}, err
		}
	}
	return d, nil
}

func (p *press) skeleton(name string, v view) (skeleton, error) {
	html, err := p.print(name, v)
	if err != nil {
		return skeleton{}, err
	}
	return cut(html), nil
}

// print executes a template with the view and the one style and script.
func (p *press) print(name string, v view) (string, error) {
	v.Style, v.Script = template.CSS(style), template.JS(script) //nolint:gosec // from this repository
	v.Policy = policy
	var html strings.Builder
	if err := p.templates.ExecuteTemplate(&html, name, v); err != nil {
		return "", err
	}
	return html.String(), nil
}
