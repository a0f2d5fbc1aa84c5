package page

import (
	"cmp"
	"html/template"

	"golang.org/x/text/language"
)

// view is what page.html is executed with.
type view struct {
	Language, Title, Message, Button string
	Brand, Color, Ink                string
	Logo                             template.URL
	Texts                            texts

	Action, Scope   string
	LoopLimit       int
	LoopWindow      int64 // milliseconds, as the script counts
	Token, ReturnTo string
	Style           template.CSS
	Script          template.JS
}

// newView takes settings and a frame that have been checked and whose defaults are filled in.
func newView(s Settings, f Frame) view {
	tag, _ := language.Parse(s.Language)
	said := textsFor(tag).naming(f.Brand)
	return view{
		Language: tag.String(),
		Title:    cmp.Or(s.Title, said.Title),
		Message:  cmp.Or(s.Message, said.Message),
		Button:   cmp.Or(s.Button, said.Button),
		Brand:    f.Brand,
		Color:    s.Color,
		Ink:      inkOn(s.Color),
		// html/template would refuse the scheme.
		Logo:       template.URL(s.Logo), //nolint:gosec // checkLogo has seen that it is an image
		Texts:      said,
		Action:     f.Action,
		Scope:      f.Scope,
		LoopLimit:  f.LoopLimit,
		LoopWindow: f.LoopWindow.Milliseconds(),
		Style:      template.CSS(style), //nolint:gosec // from this repository
		Script:     template.JS(script), //nolint:gosec // from this repository
	}
}
