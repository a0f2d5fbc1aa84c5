package page

import (
	"fmt"
	"html/template"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// compiledTemplate is the parsed template of the page and the segments of every language. There is
// only one, which is immutable and shared by all brands.
type compiledTemplate struct {
	templates *template.Template
	matcher   language.Matcher
	localized []localizedTemplate // in the catalogue's order
}

// localizedTemplate is the template in one language.
type localizedTemplate struct {
	texts    texts
	withName pageSegments // for pages with the brand's name
	withLogo pageSegments // for pages with the brand's logo
}

// pageSegments are the segments of each kind of page.
type pageSegments struct {
	plain    segments // with the field token
	returnTo segments // with the fields token and return_to
	problems [problems]segments
}

// compiled returns the only compiledTemplate.
var compiled = sync.OnceValues(func() (*compiledTemplate, error) { return compile(catalogue) })

func compile(catalogue []texts) (*compiledTemplate, error) {
	templates, err := template.New("page").Parse(markup)
	if err != nil {
		return nil, err
	}
	c := &compiledTemplate{templates: templates}
	var tags []language.Tag
	for _, t := range catalogue {
		l := localizedTemplate{texts: t}
		v := placeholderView(t)
		if l.withName, err = c.pageSegments(v); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Language, err)
		}
		v.Logo = template.URL(fieldLogo.placeholder()) //nolint:gosec // a placeholder of this package
		if l.withLogo, err = c.pageSegments(v); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Language, err)
		}
		c.localized, tags = append(c.localized, l), append(tags, t.Language)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// localize returns the template in the catalogue's language that is nearest to want.
func (c *compiledTemplate) localize(want language.Tag) *localizedTemplate {
	_, index, _ := c.matcher.Match(want)
	return &c.localized[index]
}

// pageSegments executes the templates with a view of placeholders, and splits the results.
func (c *compiledTemplate) pageSegments(v view) (d pageSegments, err error) {
	v.Token = fieldToken.placeholder()
	if d.plain, err = c.segments("sign-in", v); err != nil {
		return pageSegments{}, err
	}
	v.ReturnTo = fieldReturnTo.placeholder()
	if d.returnTo, err = c.segments("sign-in", v); err != nil {
		return pageSegments{}, err
	}
	for i := range problems {
		text := v.Texts.problemText(i)
		v.Title, v.Message = text.Heading, text.Text
		if d.problems[i], err = c.segments("problem", v); err != nil {
			return pageSegments{}, err
		}
	}
	return d, nil
}

// segments executes one template, and splits the result.
func (c *compiledTemplate) segments(name string, v view) (segments, error) {
	html, err := c.execute(name, v)
	if err != nil {
		return segments{}, err
	}
	return split(html), nil
}

// execute executes a template with the view, the style and the script.
func (c *compiledTemplate) execute(name string, v view) (string, error) {
	v.Style, v.Script = template.CSS(style), template.JS(script) //nolint:gosec // from this repository
	v.Policy = policy
	var html strings.Builder
	if err := c.templates.ExecuteTemplate(&html, name, v); err != nil {
		return "", err
	}
	return html.String(), nil
}
