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

// Settings is the look of one brand's page: the "page" block of a brand in the configuration file.
// The zero value is valid: each field that is empty has a default.
type Settings struct {
	// Language of the page, as a BCP 47 tag. Empty: en. Texts that aren't set below come from the
	// page's own catalogue, in the language of [Languages] nearest to this one, or in English where
	// none is near.
	Language string `yaml:"language"`
	// Title is the page's heading, at most 100 characters. Empty: from the catalogue, with the
	// brand's name.
	Title string `yaml:"title"`
	// Message stands under the heading, at most 500 characters. Empty: from the catalogue.
	Message string `yaml:"message"`
	// Button is the label of the button, at most 60 characters. Empty: from the catalogue.
	Button string `yaml:"button"`
	// Color of the band and the button, as #rrggbb. Empty: #1f73b7. No colour leaves the button
	// unreadable: its text is white or black, and one of them has a contrast of 4.5 with every
	// colour, in light and dark alike, because the text stands on the colour and not on the page.
	Color string `yaml:"color"`
	// Logo is a base64 data URI of a PNG, JPEG, GIF, WebP or SVG image, at most 64 KiB as written.
	// It must be what it says, and an SVG without scripts and references to anything outside it. It
	// is part of every page that is sent, and the page's policy lets no image be fetched. In dark
	// it lies on white. Empty: the brand's name in its place.
	Logo string `yaml:"logo"`
	// Start is where people go who can't go on from here: the link on pages that tell of a problem.
	// It is a path of the application that serves the page, or an absolute https URL, at most 2,048
	// bytes. Empty: /.
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

var colorForm = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)

// Check reports every fault, each with the name of its key. It may be called from several
// goroutines.
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
	if s.Color != "" && !colorForm.MatchString(s.Color) {
		report("color", "must be a colour in the form #rrggbb, such as "+defaultColor)
	}
	if err := checkLogo(s.Logo); err != nil {
		report("logo", err.Error())
	}
	if err := checkStart(s.withDefaults().Start); err != nil {
		report("start", err.Error())
	}
}

// withDefaults fills what doesn't depend on the brand; the texts' defaults need its name.
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

// parseLanguage is stricter than [language.Parse], which also takes the underscores of POSIX
// locales: a tag written that way means that somebody took the key for something else.
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

// checkStart takes a URL only as it would be sent: a browser's reading of anything else, such as a
// backslash that it makes a slash, is not what the operator wrote.
func checkStart(start string) error {
	if len(start) > maxStart {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(start), maxStart)
	}
	u, err := url.Parse(start)
	if err != nil || strings.ContainsFunc(start, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>\^`+"`{|}", r) }) {
		return errors.New("is not a URL: percent-encode what a URL can't hold")
	}
	path := strings.HasPrefix(start, "/") && !strings.HasPrefix(start, "//")
	if !path && (!strings.HasPrefix(start, "https://") || u.Hostname() == "" || u.User != nil) {
		return errors.New("must be a path that begins with one slash, such as /login, or an https URL without user info")
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
