package page

import (
	"sync"
)

// neutralName is the name that pages without a brand use.
const neutralName = "Zendesk"

var neutralPages = sync.OnceValues(func() ([]*Page, error) {
	var pages []*Page
	for _, tag := range Languages() {
		// The frame has no action, because problem pages have no form.
		frame := Frame{Brand: neutralName, FormActionSources: []string{"'none'"}}
		p, err := prepare(Settings{Language: tag}.withDefaults(), frame.withDefaults())
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
})

// Neutral returns a page without a brand, in the language nearest to tag (BCP 47). The language is
// English if tag is empty or invalid, or if no language is near. Use it for callers that may not
// learn which brands exist. Only its [Page.RenderProblem] is useful: the form that [Page.Render]
// returns has no action.
func Neutral(tag string) *Page {
	pages, err := neutralPages()
	if err != nil {
		panic(err) // depends only on compiled-in data
	}
	want, _ := RequestedLanguage(tag) // an invalid tag matches the default language
	templates, _ := compiled()
	_, index, _ := templates.matcher.Match(want)
	return pages[index]
}
