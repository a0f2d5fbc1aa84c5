package page

import (
	"strings"

	"golang.org/x/text/language"
)

// texts holds the page's texts in one language. Every field is required. "{brand}" in a text is
// replaced with the brand's name. To add a language, add a file with a value of this type, and add
// the value to catalogue.
type texts struct {
	Language    language.Tag
	RightToLeft bool // direction of the script

	Title    string // heading while the browser submits the form
	Message  string // text below the heading
	Button   string // label of the button
	NoScript string // instruction for browsers that don't run scripts

	// The browser is still at the page after 5 s: Zendesk is slow, or the user has stopped the POST.
	// No event tells the script which it is, so the texts must be true of both.
	SlowHeading, SlowText string

	// The policy has blocked the form or a redirect after it.
	BlockedHeading, BlockedText string

	LoopHeading string // the same tab has signed in too often
	LoopText    string // the possible cause, and what to do
	LoopButton  string // label of the button that signs in anyway
	UsedHeading string // the page was loaded again, or came from the browser's cache
	UsedText    string // how to start again
	Start       string // label of the start link, of every state in which the browser may stay at the page

	Problems [ProblemLoop]problemText // by Problem; ProblemLoop and ProblemUsed use the fields above
}

// problemText returns the texts for a problem.
func (t texts) problemText(p Problem) problemText {
	switch p {
	case ProblemLoop:
		return problemText{t.LoopHeading, t.LoopText}
	case ProblemUsed:
		return problemText{t.UsedHeading, t.UsedText}
	}
	return t.Problems[p]
}

// problemText is a heading and the text below it.
type problemText struct{ Heading, Text string }

// catalogue holds every language of the page. The first one is the default for all other languages.
var catalogue = []texts{english, german, french, spanish, portuguese, japanese, arabic}

// Languages returns the languages of the page's own texts as BCP 47 tags. The default is the first.
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

// withBrand returns the texts with the brand's name in place of "{brand}". Most names are written
// from left to right. In a right-to-left text, withBrand isolates the name (Unicode Standard Annex
// 9, section 2.4). Otherwise the punctuation at the ends of the name would be displayed on the
// wrong side.
func (t texts) withBrand(brand string) texts {
	if t.RightToLeft {
		const firstStrongIsolate, popDirectionalIsolate = "\u2068", "\u2069"
		brand = firstStrongIsolate + brand + popDirectionalIsolate
	}
	for _, text := range []*string{
		&t.Title, &t.Message, &t.Button, &t.NoScript,
		&t.SlowHeading, &t.SlowText, &t.BlockedHeading, &t.BlockedText,
		&t.LoopHeading, &t.LoopText, &t.LoopButton, &t.UsedHeading, &t.UsedText, &t.Start,
	} {
		*text = strings.ReplaceAll(*text, "{brand}", brand)
	}
	for i, text := range t.Problems {
		t.Problems[i].Heading = strings.ReplaceAll(text.Heading, "{brand}", brand)
		t.Problems[i].Text = strings.ReplaceAll(text.Text, "{brand}", brand)
	}
	return t
}
