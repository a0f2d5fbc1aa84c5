package config

import (
	"fmt"
	"strings"

	"golang.org/x/text/language"

	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/page"
)

// pages are the pages of a brand, one for each language. The first is in the brand's language.
type pages struct {
	matcher language.Matcher
	pages   []*page.Page
}

// in returns the page in the language that is nearest to a tag.
func (p pages) in(tag string) *page.Page {
	want, err := page.RequestedLanguage(tag)
	if err != nil { // the tag is empty or malformed
		return p.pages[0]
	}
	_, i, _ := p.matcher.Match(want) // i is 0 if no language is near
	return p.pages[i]
}

// checkPages checks the values of the pages. It also refuses values that are valid in a profile but
// not on a page, such as a brand's name that is too long.
func checkPages(at yamlfile.Place, z *zendeskSSO) {
	if z.ReferrerPolicy != "" && z.ReferrerPolicy != "no-referrer" && z.ReferrerPolicy != "strict-origin" {
		at.At("referrer_policy").Problem("is none of its values: use no-referrer, strict-origin")
	}
	report := func(at yamlfile.Place, err error) {
		if err != nil && !at.HasProblem() { // otherwise the profile has refused the value
			at.Problem("%v", err)
		}
	}
	if z.Endpoint != "" {
		report(at.At("endpoint"), page.CheckSource(strings.ReplaceAll(z.Endpoint, "{subdomain}", "x")))
	}
	for i, origin := range z.Origins {
		report(at.At("origins").Index(i), page.CheckSource(origin))
	}
	for i, b := range z.Brands {
		at := at.At("brands").Index(i)
		report(at.At("name"), page.CheckBrand(b.Name))
		b.Page.Check(at.At("page").ReportProblem)
	}
}

// renderBrands renders the pages of all brands. It reports only what checkPages doesn't find, which
// should be nothing.
func (m matchers) renderBrands(at yamlfile.Place, z *zendeskSSO, c *Configuration) map[string]pages {
	byBrand := map[string]pages{}
	for i, b := range z.Brands {
		rendered, err := m.renderPages(b, z.ReferrerPolicy, c)
		if err != nil {
			at.At("brands").Index(i).Problem("%v", err)
		}
		byBrand[b.ID] = rendered
	}
	return byBrand
}

func (m matchers) renderPages(b brand, referrerPolicy string, c *Configuration) (pages, error) {
	served := c.Profile.Brand(b.ID)
	frame := page.Frame{
		Brand:             served.Name,
		Action:            served.Action,
		FormActionSources: served.FormActionSources,
		ReferrerPolicy:    referrerPolicy,
		LoopLimit:         c.LoopLimit,
		LoopWindow:        c.LoopWindow,
		Scope:             c.Name + "/" + b.ID,
	}
	var p pages
	settings, tags := b.Page.InLanguages()
	for _, s := range settings {
		rendered, err := page.New(s, frame)
		if err != nil {
			return pages{}, err
		}
		p.pages = append(p.pages, rendered)
	}
	p.matcher = m.of(tags)
	return p, nil
}

// matchers contains the matcher for each list of languages. Brands with the same list share a
// matcher, because it takes kilobytes and most brands of a company have the same languages.
type matchers map[string]language.Matcher

func (m matchers) of(tags []language.Tag) language.Matcher {
	key := fmt.Sprint(tags)
	if m[key] == nil {
		m[key] = language.NewMatcher(tags)
	}
	return m[key]
}
