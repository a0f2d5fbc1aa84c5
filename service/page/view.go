package page

import (
	"cmp"
	"html/template"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// view is the data that page.html is executed with.
type view struct {
	Language, Title, Message, Button string
	Brand, Color, Ink                string
	Logo                             template.URL
	Texts                            texts

	// FormActions is appended to Policy.
	Policy, FormActions string
	ReferrerPolicy      string

	Action, Scope   string
	Start           string // html/template treats it as a URL and also rejects scripts
	LoopLimit       string
	LoopWindow      string // milliseconds, the unit of the script
	Token, ReturnTo string
	Style           template.CSS
	Script          template.JS
}

// newView returns the view of a page. The settings and the frame must be valid and have their
// defaults filled in.
func newView(s Settings, f Frame, tag language.Tag, t texts) view {
	t = t.withBrand(f.Brand)
	return view{
		Language: langAttribute(tag, t.Language),
		Title:    cmp.Or(s.Title, t.Title),
		Message:  cmp.Or(s.Message, t.Message),
		Button:   cmp.Or(s.Button, t.Button),
		Brand:    f.Brand,
		Color:    s.Color,
		Ink:      buttonClasses(s.Color),
		// The type is template.URL, because html/template would reject the data scheme.
		Logo:           template.URL(s.Logo), //nolint:gosec // checkLogo has verified that it is an image
		Texts:          t,
		FormActions:    strings.Join(f.FormActionSources, " "),
		ReferrerPolicy: f.ReferrerPolicy,
		Action:         f.Action,
		Scope:          f.Scope,
		Start:          s.Start,
		LoopLimit:      strconv.Itoa(f.LoopLimit),
		LoopWindow:     strconv.FormatInt(f.LoopWindow.Milliseconds(), 10),
	}
}

// langAttribute returns the value of the lang attribute for texts in the language found, which were
// chosen for the language wanted. If both are the same language, it keeps the region of wanted.
// Otherwise, or if wanted has no language, it returns found.
func langAttribute(wanted, found language.Tag) string {
	if base, _, _ := wanted.Raw(); base.String() == "und" {
		return found.String()
	}
	wantedBase, _ := wanted.Base()
	if foundBase, _ := found.Base(); wantedBase != foundBase {
		return found.String()
	}
	return wanted.String()
}

// placeholderView returns a view with placeholders. It has one for each field by which pages in the
// language of the texts differ, except the logo.
func placeholderView(t texts) view {
	return view{
		Language:       fieldLanguage.placeholder(),
		Title:          fieldTitle.placeholder(),
		Message:        fieldMessage.placeholder(),
		Button:         fieldButton.placeholder(),
		Brand:          fieldBrand.placeholder(),
		Color:          fieldColor.placeholder(),
		Ink:            fieldInk.placeholder(),
		Texts:          t.withBrand(fieldBrand.placeholder()),
		FormActions:    fieldFormActions.placeholder(),
		ReferrerPolicy: fieldReferrerPolicy.placeholder(),
		Action:         fieldAction.placeholder(),
		Scope:          fieldScope.placeholder(),
		Start:          fieldStart.placeholder(),
		LoopLimit:      fieldLoopLimit.placeholder(),
		LoopWindow:     fieldLoopWindow.placeholder(),
	}
}
