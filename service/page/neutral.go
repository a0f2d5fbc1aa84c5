package page

import (
	"sync"

	"golang.org/x/text/language"
)

// neutralName is what everybody calls the place that nobody gets to.
const neutralName = "Zendesk"

var neutralPages = sync.OnceValues(func() ([]*Page, error) {
	var pages []*Page
	for _, tag := range Languages() {
		// Without a form there is nothing to post, and nowhere.
		p, err := prepare(Settings{Language: tag}.withDefaults(), Frame{Brand: neutralName, FormActionSources: []string{"'none'"}}.withDefaults())
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
})

// Neutral returns a page without a brand, in the language nearest to the one asked for (BCP 47;
// English where it is none, or none is near), for those who may not learn which brands there are.
// It is good for [Page.RenderProblem] only: what [Page.Render] makes of it posts nowhere.
func Neutral(tag string) *Page {
	pages, err := neutralPages()
	if err != nil {
		panic(err) // made of nothing but what is compiled in
	}
	want, _ := language.Parse(tag) // what can't be parsed is matched as no language
	templates, _ := compiled()
	_, index, _ := templates.matcher.Match(want)
	return pages[index]
}
