// Package inspection does the work of `deskmint inspect`. It finds the token in what people paste,
// judges it without a service, and prints what was found.
package inspection

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// Input is a token that was found in a text.
type Input struct {
	Token string
	// InURL reports that the token was in a URL.
	InURL bool
}

// Parse finds the token in a text: the token alone, a form body, a URL, a page with a form, or JSON
// such as `deskmint mint` prints. Outer white space and quotes and line breaks are ignored. Text of
// another kind is returned as it is, so that the inspection says what is wrong with it. An error
// contains no part of the text.
func Parse(text string) (Input, error) {
	var f finder
	if err := f.find(text, 0); err != nil {
		return Input{}, err
	}
	switch len(f.found) {
	case 0:
		return Input{}, errors.New("there is no token: give the token, the form or URL that has it, or what " +
			"`deskmint mint` prints")
	case 1:
		for token, inURL := range f.found {
			return Input{token, inURL}, nil
		}
	}
	return Input{}, errors.New("there are several tokens: give one of them")
}

// finder collects tokens. The values report whether the token was in a URL.
type finder struct{ found map[string]bool }

func (f *finder) add(token string, inURL bool) {
	if f.found == nil {
		f.found = map[string]bool{}
	}
	f.found[token] = f.found[token] || inURL
}

// maxNesting limits JSON in JSON and quotes in quotes.
const maxNesting = 8

func (f *finder) find(text string, depth int) error {
	text = strings.TrimFunc(text, isOuter)
	var value any
	switch {
	case text == "":
		return nil
	case depth < maxNesting && json.Unmarshal([]byte(text), &value) == nil:
		return f.json(value, depth)
	case depth < maxNesting && isQuoted(text):
		return f.find(text[1:len(text)-1], depth+1)
	case strings.Contains(text, "<"):
		return f.html(text)
	}
	if f.parameter(text) {
		return nil
	}
	bare := strings.Join(strings.Fields(text), "") // without line breaks
	tokens := compact.FindAllString(text, -1)
	wrapped := strings.HasPrefix(text, "eyJ") && !strings.ContainsFunc(bare, notOfToken)
	if len(tokens) == 0 || len(tokens) == 1 && wrapped {
		tokens = []string{bare}
	}
	for _, token := range tokens { // among other words
		f.add(token, false)
	}
	return nil
}

// compact matches a token whose header is a JSON object.
var compact = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// isOuter reports whether r is white space, or an invisible mark that editors add.
func isOuter(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

func isQuoted(text string) bool {
	quote := text[0]
	return len(text) > 1 && strings.IndexByte("\"'`", quote) >= 0 && text[len(text)-1] == quote
}

// notOfToken reports whether r is in no token, even with the padding of base64.
func notOfToken(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.=+/", r)
}

// json finds the members that hold a token, or a page with one.
func (f *finder) json(value any, depth int) error {
	switch value := value.(type) {
	case string:
		return f.find(value, depth+1)
	case []any:
		for _, item := range value {
			if _, ok := item.(string); ok {
				continue // such as the origins in what mint prints
			}
			if err := f.json(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		return f.members(value, depth)
	}
	return nil
}

func (f *finder) members(object map[string]any, depth int) error {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch member := object[name].(type) {
		case string:
			if slices.Contains([]string{"token", "jwt", "html", "url"}, strings.ToLower(name)) {
				if err := f.find(member, depth+1); err != nil {
					return err
				}
			}
		case map[string]any, []any:
			if err := f.json(member, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// html finds the fields of forms with the name jwt.
func (f *finder) html(text string) error {
	tokens := html.NewTokenizer(strings.NewReader(text))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				return errors.New("the page can't be parsed")
			}
			return nil
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := tokens.Token()
			attributes := map[string]string{}
			for _, a := range tag.Attr {
				attributes[a.Key] = a.Val
			}
			if tag.Data == "input" && attributes["name"] == "jwt" && attributes["value"] != "" {
				f.add(strings.Join(strings.Fields(attributes["value"]), ""), false)
			}
		}
	}
}

// parameter matches a parameter jwt of a URL or a form.
var parameter = regexp.MustCompile(`(^|[?&\s"'])jwt=([^&\s"'#]+)`)

// parameter finds the parameters jwt of URLs and forms.
func (f *finder) parameter(text string) bool {
	for _, prefix := range []string{"jwt=", "http://", "https://", "?", "/"} {
		if strings.HasPrefix(text, prefix) {
			text = strings.Join(strings.Fields(text), "") // without the breaks of long lines
			break
		}
	}
	matches := parameter.FindAllStringSubmatchIndex(text, -1)
	for _, at := range matches {
		value := text[at[4]:at[5]]
		if decoded, err := url.QueryUnescape(value); err == nil {
			value = decoded
		}
		word := text[strings.LastIndexFunc(text[:at[4]], isDelimiter)+1 : at[4]]
		f.add(value, strings.Contains(word, "?"))
	}
	return len(matches) > 0
}

// isDelimiter reports whether r ends a word of a command line.
func isDelimiter(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '\'' }
