package page

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/deskmint/deskmint/service/text"
)

// Settings is the appearance of one brand's page. It is the "page" block of a brand in the
// configuration file. The zero value is valid, because each empty field has a default.
type Settings struct {
	// Language is the language of the page as a BCP 47 tag. The default is en. Texts that aren't
	// set below come from the page's catalogue, in the language of [Languages] nearest to this one.
	// If no language is near, they are in English.
	Language string `yaml:"language"`
	// Title is the page's heading, at most 100 characters. The default comes from the catalogue and
	// contains the brand's name.
	Title string `yaml:"title"`
	// Message is the text below the heading, at most 500 characters. The default comes from the
	// catalogue.
	Message string `yaml:"message"`
	// Button is the label of the button, at most 60 characters. The default comes from the
	// catalogue.
	Button string `yaml:"button"`
	// Color is the colour of the band and the button, as #rrggbb. The default is #1f73b7. The
	// button is readable in every colour: its text is white or black, and one of them has a
	// contrast of 4.5 with every colour. This is the same in light and dark mode, because the
	// button fills the background of its text.
	Color string `yaml:"color"`
	// Logo is a base64 data URI of a PNG, JPEG, GIF, WebP or SVG image, at most 64 KiB as written.
	// The content must match the declared type. An SVG must have no scripts and no references to
	// anything outside it. The logo is part of every page, because the page's policy allows no
	// image to be fetched. In dark mode it has a white background. If it is empty, the page
	// displays the brand's name.
	Logo string `yaml:"logo"`
	// Start is the target of the link that a page shows when the sign-in can't continue. It is a
	// path of the application that serves the page, or an absolute https URL, at most 2,048 bytes.
	// The default is /.
	Start string `yaml:"start"`
}

const (
	defaultLanguage = "en"
	defaultColor    = "#1f73b7"
	defaultStart    = "/"

	maxTitle    = 100 // characters
	maxMessage  = 500
	maxButton   = 60
	maxLanguage = 35 // bytes; RFC 5646 section 4.4.1
	maxStart    = 2048
)

var colorPattern = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)

// Check calls report for every invalid value with the name of its key. It is safe for concurrent
// use.
func (s Settings) Check(report func(path, message string)) {
	if _, err := parseLanguage(s.withDefaults().Language); err != nil {
		report("language", err.Error())
	}
	for _, field := range []struct {
		path, value string
		limit       int
	}{
		{"title", s.Title, maxTitle},
		{"message", s.Message, maxMessage},
		{"button", s.Button, maxButton},
	} {
		if err := checkText(field.value, field.limit); err != nil {
			report(field.path, err.Error())
		}
	}
	if s.Color != "" && !colorPattern.MatchString(s.Color) {
		report("color", "must be a colour in the form #rrggbb, such as "+defaultColor)
	}
	if err := checkLogo(s.Logo); err != nil {
		report("logo", err.Error())
	}
	if err := checkStart(s.withDefaults().Start); err != nil {
		report("start", err.Error())
	}
}

// withDefaults fills in the defaults that don't depend on the brand. The defaults of the texts
// contain the brand's name, so newView fills them in.
func (s Settings) withDefaults() Settings {
	if s.Language == "" {
		s.Language = defaultLanguage
	}
	if s.Color == "" {
		s.Color = defaultColor
	}
	if s.Start == "" {
		s.Start = defaultStart
	}
	return s
}

// parseLanguage is stricter than [language.Parse], which also accepts the underscores of POSIX
// locales. Such a tag suggests that the operator mistook the key for a locale.
func parseLanguage(tag string) (language.Tag, error) {
	if len(tag) > maxLanguage || strings.Contains(tag, "_") {
		return language.Und, errors.New("must be a BCP 47 language tag, such as en or pt-BR")
	}
	parsed, err := language.Parse(tag)
	if err != nil {
		return language.Und, fmt.Errorf("must be a BCP 47 language tag, such as en or pt-BR: %w", err)
	}
	return parsed, nil
}

// checkStart accepts a URL only in the form in which browsers send it. Browsers interpret other
// forms, such as a backslash, which they replace with a slash. The result isn't what the operator
// wrote.
func checkStart(start string) error {
	if len(start) > maxStart {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(start), maxStart)
	}
	u, err := url.Parse(start)
	mustEncode := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>\^`+"`{|}", r) }
	if err != nil || strings.ContainsFunc(start, mustEncode) {
		return errors.New("is not a URL: percent-encode characters that a URL can't contain")
	}
	path := strings.HasPrefix(start, "/") && !strings.HasPrefix(start, "//")
	if !path && (!strings.HasPrefix(start, "https://") || u.Hostname() == "" || u.User != nil) {
		return errors.New(
			"must be a path that begins with one slash, such as /login, or an https URL without user info")
	}
	return nil
}

func checkText(value string, limit int) error {
	if !utf8.ValidString(value) {
		return errors.New("is not valid UTF-8")
	}
	if n := utf8.RuneCountInString(value); n > limit {
		return fmt.Errorf("has %d characters, at most %d are allowed", n, limit)
	}
	if value != "" && strings.TrimSpace(value) == "" {
		return errors.New("is only white space")
	}
	if fault := text.Fault(value, text.AllowJoiners); fault != "" {
		return errors.New(fault)
	}
	return nil
}
