package page

import (
	"strings"

	"golang.org/x/text/language"
)

// texts are the page's words in one language. Every field is required; "{brand}" in one of them
// stands for the brand's name. Another language is one file with a value of this type, and its name
// in catalogue.
type texts struct {
	Language    language.Tag
	RightToLeft bool // how it is written

	Title    string // heading while the form is on its way
	Message  string // what is happening
	Slow     string // added when that takes long
	Button   string // label of the button
	NoScript string // for browsers that don't run scripts: press the button

	LoopHeading string // the same tab has come back too often
	LoopText    string // what may be wrong, and what to do
	LoopButton  string // goes on all the same
	UsedHeading string // the page was loaded again, or came back from the browser's cache
	UsedText    string // how to start again
	Start       string // label of the link out of here, on every page that doesn't go on by itself

	Problems [ProblemLoop]words // by Problem, those after it excepted, which have their words above
}

// problem returns what is said of one.
func (t texts) problem(p Problem) words {
	switch p {
	case ProblemLoop:
		return words{t.LoopHeading, t.LoopText}
	case ProblemUsed:
		return words{t.UsedHeading, t.UsedText}
	}
	return t.Problems[p]
}

// words are a heading and what is said under it.
type words struct{ Heading, Text string }

// catalogue holds every language the page speaks. The first one stands in for languages that aren't
// here.
var catalogue = []texts{english, german, french, spanish, portuguese, japanese, arabic}

// Languages returns, as BCP 47 tags, the languages that the page's own texts exist in, the default
// first.
func Languages() []string {
	tags := make([]string, 0, len(catalogue))
	for _, t := range catalogue {
		tags = append(tags, t.Language.String())
	}
	return tags
}

// Direction returns the value of the dir attribute.
func (t texts) Direction() string {
	if t.RightToLeft {
		return "rtl"
	}
	return "ltr"
}

// naming returns the texts with the brand's name in its places. Most names are written from left to
// right: among words that aren't, one is isolated (Unicode Standard Annex 9, section 2.4), or what
// stands at its ends would change places.
func (t texts) naming(brand string) texts {
	if t.RightToLeft {
		const firstStrongIsolate, popDirectionalIsolate = "\u2068", "\u2069"
		brand = firstStrongIsolate + brand + popDirectionalIsolate
	}
	for _, text := range []*string{
		&t.Title, &t.Message, &t.Slow, &t.Button, &t.NoScript,
		&t.LoopHeading, &t.LoopText, &t.LoopButton, &t.UsedHeading, &t.UsedText, &t.Start,
	} {
		*text = strings.ReplaceAll(*text, "{brand}", brand)
	}
	for i, said := range t.Problems {
		t.Problems[i].Heading = strings.ReplaceAll(said.Heading, "{brand}", brand)
		t.Problems[i].Text = strings.ReplaceAll(said.Text, "{brand}", brand)
	}
	return t
}
