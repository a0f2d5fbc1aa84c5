package secrets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// minVariantBytes is the minimum length of a text that VerifyVariant tries. A shorter text could be
// guessed with the help of the answer.
const minVariantBytes = 16

// maxVariants limits the number of texts that VerifyVariant tries.
const maxVariants = 64

// A Variant is a text that differs from a secret by an accident, such as the secret in quotes.
type Variant struct {
	// Difference says how the text differs from the stored value. It follows "the secret":
	// "base64-decoded".
	Difference string
	// Advice is a sentence, without its full stop, that says what to do about which copy of the
	// secret.
	Advice string
}

// VerifyVariant reports whether the signature was made with a text that differs from the secret by
// an accident. Use it to explain a signature that Verify refuses. It takes the time of some 20
// signatures, so call it only if the requests are limited.
func (k Key) VerifyVariant(signingInput string, signature []byte) (Variant, bool) {
	if k.IsZero() {
		return Variant{}, false
	}
	return k.variant(signingInput, signature)
}

// PasteFault returns the reason to think that the stored value is not the secret that Zendesk has,
// because it was pasted wrongly. The text follows "the value": "is JSON". It has no part of
// the value. It is empty for every text of letters and digits, unless that is an encoding of other
// text.
func (k Key) PasteFault() string {
	if k.IsZero() {
		return ""
	}
	return k.pasteFault()
}

// variantOf returns the variant of the secret that made the signature.
func variantOf(secret, signingInput string, signature []byte) (Variant, bool) {
	tried := map[string]bool{secret: true}
	for _, c := range candidates(secret) {
		if len(c.text) < minVariantBytes || tried[c.text] || len(tried) > maxVariants {
			continue
		}
		tried[c.text] = true
		state := hmac.New(sha256.New, []byte(c.text))
		state.Write([]byte(signingInput))
		if hmac.Equal(state.Sum(nil), signature) {
			return c.variant, true
		}
	}
	return Variant{}, false
}

type candidate struct {
	text    string
	variant Variant
}

// candidates returns the texts that a signer may have in place of the secret: what the stored value
// contains, if it was pasted wrongly, and what a faulty signer makes of the value.
func candidates(secret string) []candidate {
	var all []candidate
	for _, outer := range unwrap(secret) {
		all = append(all, outer)
		for _, inner := range unwrap(outer.text) { // such as quotes behind a name
			inner.variant = Variant{
				outer.variant.Difference + " and " + inner.variant.Difference, outer.variant.Advice,
			}
			all = append(all, inner)
		}
	}
	for _, m := range []struct{ text, difference, advice string }{
		{secret + "\n", "with a line break behind it", "remove the line break"},
		{secret + "\r\n", "with a line break behind it", "remove the line break"},
		{secret + " ", "with a space behind it", "remove the space"},
		{" " + secret, "with a space before it", "remove the space"},
		{secret + `\n`, `with the characters \n behind it`, "remove these characters"},
		{`"` + secret + `"`, "in quotes", "remove the quotes"},
		{`'` + secret + `'`, "in quotes", "remove the quotes"},
		{base64.StdEncoding.EncodeToString([]byte(secret)), "base64-encoded", "not encode them"},
		{base64.StdEncoding.EncodeToString([]byte(secret + "\n")),
			"base64-encoded with a line break behind it", "not encode them"},
		{base64.RawURLEncoding.EncodeToString([]byte(secret)), "base64-encoded", "not encode them"},
		{hex.EncodeToString([]byte(secret)), "hex-encoded", "not encode them"},
		{strings.ToUpper(hex.EncodeToString([]byte(secret))), "hex-encoded", "not encode them"},
		{url.QueryEscape(secret), "percent-encoded", "not encode them"},
	} {
		all = append(all, candidate{m.text, Variant{m.difference, bytesAdvice + m.advice}})
	}
	return all
}

// A wrapping is a form in which a secret is pasted by accident, together with other text.
type wrapping struct {
	// fault says what is wrong with a stored value of this form. It follows "the value".
	fault      string
	difference string // of what is inside
	advice     string
	// inside returns the texts that may be the secret. It returns nil for a text of another form.
	inside func(string) []string
	// sure reports whether a text of this form can't be a secret itself. If it is nil, no text of
	// this form can.
	sure func(text, inside string) bool
}

const (
	// bytesAdvice is the beginning of the advice for a faulty signer.
	bytesAdvice = "Zendesk's key is the bytes as they are: the signer must "
	// decodedAdvice is the advice for a signature that was made with the decoded value, if the value
	// doesn't look like a secret.
	decodedAdvice = "The stored value seems to be encoded: store it as Zendesk shows it. If Zendesk shows it so, the " +
		"signer must not decode it"
)

// wrappings are in the order in which a value is examined.
func wrappings() []wrapping {
	return []wrapping{
		{
			"is JSON", "that its JSON contains", "The stored value is JSON: store only the secret in it",
			jsonStrings, nil,
		},
		{
			"begins with a name, as in KEY=VALUE", "without the name before it",
			"The stored value begins with a name, as in KEY=VALUE: store only what follows", assigned, nil,
		},
		{
			"begins or ends with a quotation mark", "without its quotation marks",
			"The stored value is in quotation marks: store it without them", unquoted, nil,
		},
		{
			`begins or ends with a line break that is written out (\n)`, "without the line break that is written out",
			`The stored value begins or ends with the characters \n: store it without them`, unescaped, nil,
		},
		{"is percent-encoded", "percent-decoded", decodedAdvice, percentDecoded, nil},
		{
			"is base64, which Zendesk's secrets are not", "base64-decoded", decodedAdvice, base64Decoded,
			func(text, inside string) bool { return strings.HasSuffix(text, "=") || printable(inside) },
		},
		{
			"is text in hexadecimal digits", "hex-decoded", decodedAdvice, hexDecoded,
			func(_, inside string) bool { return printable(inside) },
		},
	}
}

// unwrap returns what a value of one of the forms contains.
func unwrap(value string) (all []candidate) {
	for _, w := range wrappings() {
		for _, text := range w.inside(value) {
			variant := Variant{w.difference, w.advice}
			if w.sure != nil && !w.sure(value, text) { // the value looks like a secret
				variant.Advice = bytesAdvice + "not decode them"
			}
			all = append(all, candidate{text, variant})
			if trimmed := strings.TrimFunc(text, isOuterSpace); trimmed != text {
				all = append(all, candidate{trimmed, variant})
			}
		}
	}
	return all
}

// pasteFaultOf returns what is wrong with a value, or an empty string.
func pasteFaultOf(value string) string {
	for _, w := range wrappings() {
		for _, text := range w.inside(value) {
			if w.sure == nil || w.sure(value, text) {
				return w.fault
			}
		}
	}
	switch {
	case strings.ContainsAny(value, "*•●…"):
		return "contains stars or dots, as in a secret that is only shown in part"
	case strings.ContainsFunc(value, unicode.IsSpace):
		return "contains white space"
	case strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII }):
		return "contains a character outside ASCII, which may be invisible"
	}
	return ""
}

func unquoted(value string) []string {
	text := strings.TrimSuffix(strings.TrimSuffix(value, ","), ";") // of the line that it was copied from
	if inside := strings.Trim(text, "\"'`“”„‘’«»"); inside != text {
		return []string{inside}
	}
	return nil
}

var assignment = regexp.MustCompile(`^(?:export\s+)?["']?[A-Za-z_][A-Za-z0-9_. -]*["']?\s*(?:=|:|=>)\s*(\S.{15,})$`)

func assigned(value string) []string {
	if found := assignment.FindStringSubmatch(value); found != nil {
		return found[1:]
	}
	return nil
}

// jsonStrings returns the strings in a JSON object or array, down to the second level.
func jsonStrings(value string) []string {
	var object any
	if json.Unmarshal([]byte(value), &object) != nil {
		return nil
	}
	texts := stringsIn(object)
	for _, member := range membersOf(object) {
		texts = append(texts, stringsIn(member)...)
	}
	if texts == nil && membersOf(object) != nil {
		texts = []string{""} // JSON without a string
	}
	return texts
}

func stringsIn(value any) (texts []string) {
	for _, member := range membersOf(value) {
		if s, ok := member.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}

// membersOf returns the values in an object, by name, or in an array.
func membersOf(value any) (members []any) {
	switch v := value.(type) {
	case []any:
		return v
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			members = append(members, v[name])
		}
	}
	return members
}

func unescaped(value string) []string {
	text := value
	for _, escape := range []string{`\r`, `\n`, `\t`} {
		for strings.HasPrefix(text, escape) {
			text = text[len(escape):]
		}
	}
	for _, escape := range []string{`\n`, `\r`, `\t`} {
		for strings.HasSuffix(text, escape) {
			text = strings.TrimSuffix(text, escape)
		}
	}
	if text == value {
		return nil
	}
	return []string{text}
}

func percentDecoded(value string) []string {
	if !strings.Contains(value, "%") {
		return nil
	}
	var texts []string
	if text, err := url.PathUnescape(value); err == nil {
		texts = append(texts, text)
	}
	if text, err := url.QueryUnescape(value); err == nil {
		texts = append(texts, text)
	}
	return texts
}

var base64Text = regexp.MustCompile(`^[A-Za-z0-9+/_-]+={0,2}$`)

// base64Decoded decodes both alphabets, with and without padding. Like common lenient decoders it
// ignores a single last character, which can't encode a byte.
func base64Decoded(value string) []string {
	if !base64Text.MatchString(value) {
		return nil
	}
	text := strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(value)
	if len(text)%4 == 1 {
		text = text[:len(text)-1]
	}
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return []string{string(decoded)}
}

func hexDecoded(value string) []string {
	decoded, err := hex.DecodeString(value)
	if err != nil {
		return nil
	}
	return []string{string(decoded)}
}

// printable reports whether decoded text is visible text in ASCII. Of the bytes that a random secret
// of 32 characters decodes to, that is true less than once in 10^10 times.
func printable(text string) bool {
	text = strings.TrimFunc(text, isOuterSpace)
	return len(text) >= minVariantBytes &&
		!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
