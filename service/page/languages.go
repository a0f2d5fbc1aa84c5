package page

import "golang.org/x/text/language"

// InLanguages returns the settings of a brand's page in each language, and the languages. The first
// are the brand's settings. The others don't contain the brand's texts, because these are in the
// brand's language.
func (s Settings) InLanguages() ([]Settings, []language.Tag) {
	tag := language.English
	if s.Language != "" {
		tag = language.Make(s.Language)
	}
	settings, tags := []Settings{s}, []language.Tag{tag}
	for _, other := range Languages() {
		if t := language.Make(other); !sameLanguage(t, tag) {
			localized := s
			localized.Language, localized.Title, localized.Message, localized.Button = other, "", "", ""
			settings, tags = append(settings, localized), append(tags, t)
		}
	}
	return settings, tags
}

// sameLanguage reports whether two tags have the same language and script, so that a text in one
// can be read by readers of the other.
func sameLanguage(a, b language.Tag) bool {
	aBase, _ := a.Base()
	bBase, _ := b.Base()
	aScript, _ := a.Script()
	bScript, _ := b.Script()
	return aBase == bBase && aScript == bScript
}

// RequestedLanguage parses the language that a request asks for. It reads the first 64 bytes of the
// tag, because a request can have a longer one and still get a page, the one that refuses it.
func RequestedLanguage(tag string) (language.Tag, error) {
	return language.Parse(tag[:min(len(tag), maxRequestedLanguage)])
}

// maxRequestedLanguage is the limit of the field language in the contract, in bytes.
const maxRequestedLanguage = 64
