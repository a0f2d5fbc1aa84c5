package page

import (
	"cmp"
	"html/template"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// view is what page.html is executed with.
type view struct {
	Language, Title, Message, Button string
	Brand, Color, Ink                string
	Logo                             template.URL
	Texts                            texts

	// Policy ends where FormActions goes on.
	Policy, FormActions string
	ReferrerPolicy      string

	Action, Scope   string
	Start           string // html/template sees a URL in it, and refuses scripts once more
	LoopLimit       string
	LoopWindow      string // milliseconds, as the script counts
	Token, ReturnTo string
	Style           template.CSS
	Script          template.JS
}

// newView takes settings and a frame that have been checked and whose defaults are filled in.
func newView(s Settings, f Frame, tag language.Tag, said texts) view {
	said = said.naming(f.Brand)
	return view{
		Language: spoken(tag, said.Language),
		Title:    cmp.Or(s.Title, said.Title),
		Message:  cmp.Or(s.Message, said.Message),
		Button:   cmp.Or(s.Button, said.Button),
		Brand:    f.Brand,
		Color:    s.Color,
		Ink:      buttonOn(s.Color),
		// html/template would refuse the scheme.
		Logo:           template.URL(s.Logo), //nolint:gosec // checkLogo has seen that it is an image
		Texts:          said,
		FormActions:    strings.Join(f.FormActionSources, " "),
		ReferrerPolicy: f.ReferrerPolicy,
		Action:         f.Action,
		Scope:          f.Scope,
		Start:          s.Start,
		LoopLimit:      strconv.Itoa(f.LoopLimit),
		LoopWindow:     strconv.FormatInt(f.LoopWindow.Milliseconds(), 10),
	}
}

// spoken returns what the lang attribute says of texts in a language of the catalogue that were
// chosen for another: the region that was asked for, but not a language that isn't there, nor that
// there is none.
func spoken(wanted, found language.Tag) string {
	if said, _, _ := wanted.Raw(); said.String() == "und" {
		return found.String()
	}
	wantedBase, _ := wanted.Base()
	if foundBase, _ := found.Base(); wantedBase != foundBase {
		return found.String()
	}
	return wanted.String()
}

// placeholderView returns a view with a placeholder for each field by which pages in the language
// of the texts differ, except the logo.
func placeholderView(said texts) view {
	return view{
		Language:       fieldLanguage.placeholder(),
		Title:          fieldTitle.placeholder(),
		Message:        fieldMessage.placeholder(),
		Button:         fieldButton.placeholder(),
		Brand:          fieldBrand.placeholder(),
		Color:          fieldColor.placeholder(),
		Ink:            fieldInk.placeholder(),
		Texts:          said.naming(fieldBrand.placeholder()),
		FormActions:    fieldFormActions.placeholder(),
		ReferrerPolicy: fieldReferrerPolicy.placeholder(),
		Action:         fieldAction.placeholder(),
		Scope:          fieldScope.placeholder(),
		Start:          fieldStart.placeholder(),
		LoopLimit:      fieldLoopLimit.placeholder(),
		LoopWindow:     fieldLoopWindow.placeholder(),
	}
}
