package config

import (
	"fmt"

	"golang.org/x/text/language"

	"github.com/deskmint/deskmint/service/page"
)

// pages are one brand's, one for each language. The first is in the brand's own.
type pages struct {
	matcher language.Matcher
	pages   []*page.Page
}

func (p pages) in(tag string) *page.Page {
	want, err := language.Parse(tag)
	if err != nil { // as of no tag at all
		return p.pages[0]
	}
	_, i, _ := p.matcher.Match(want) // the first, where none is near
	return p.pages[i]
}

func checkLooks(at place, z *zendeskSSO) {
	if z.ReferrerPolicy != "" && z.ReferrerPolicy != "no-referrer" && z.ReferrerPolicy != "strict-origin" {
		at.at("referrer_policy").problem("is none of its values: no-referrer, strict-origin")
	}
	for i, b := range z.Brands {
		b.Page.Check(at.at("brands").index(i).at("page").report)
	}
}

// renderBrands renders every brand's pages. What it can still find wrong is what a page
// can't say of a profile that is right, such as a name that is too long for it.
func (m matchers) renderBrands(at place, z *zendeskSSO, c *Configuration) map[string]pages {
	byBrand := map[string]pages{}
	for i, b := range z.Brands {
		rendered, err := m.renderPages(b, z.ReferrerPolicy, c)
		if err != nil {
			at.at("brands").index(i).problem("%v", err)
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
	looks, tags := looksOf(b.Page)
	for _, look := range looks {
		rendered, err := page.New(look, frame)
		if err != nil {
			return pages{}, err
		}
		p.pages = append(p.pages, rendered)
	}
	p.matcher = m.of(tags)
	return p, nil
}

// matchers are shared by the brands that speak the same languages: each holds
// kilobytes, and most brands of a company agree.
type matchers map[string]language.Matcher

func (m matchers) of(tags []language.Tag) language.Matcher {
	key := fmt.Sprint(tags)
	if m[key] == nil {
		m[key] = language.NewMatcher(tags)
	}
	return m[key]
}

// looksOf are the looks to render a brand's page in: its own, and one for each
// further language that the page speaks. The brand's texts stay with its language.
func looksOf(own page.Settings) ([]page.Settings, []language.Tag) {
	tag := language.English
	if own.Language != "" {
		tag = language.Make(own.Language)
	}
	looks, tags := []page.Settings{own}, []language.Tag{tag}
	for _, other := range page.Languages() {
		if t := language.Make(other); !sameLanguage(t, tag) {
			look := own
			look.Language, look.Title, look.Message, look.Button = other, "", "", ""
			looks, tags = append(looks, look), append(tags, t)
		}
	}
	return looks, tags
}

// sameLanguage is true of tags that differ by region or less: who reads one reads
// the other.
func sameLanguage(a, b language.Tag) bool {
	aBase, _ := a.Base()
	bBase, _ := b.Base()
	aScript, _ := a.Script()
	bScript, _ := b.Script()
	return aBase == bBase && aScript == bScript
}
