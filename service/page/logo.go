package page

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

const maxLogo = 64 << 10 // bytes of the data URI

var logoPattern = regexp.MustCompile(`^data:image/(png|jpeg|gif|webp|svg\+xml);base64,`)

func checkLogo(logo string) error {
	if logo == "" {
		return nil
	}
	if len(logo) > maxLogo {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(logo), maxLogo)
	}
	form := logoPattern.FindStringSubmatch(logo)
	if form == nil {
		return errors.New("must begin data:image/png;base64, or the same with jpeg, gif, webp or svg+xml")
	}
	encoded := logo[len(form[0]):]
	// The decoder skips line ends; a URI has none.
	if encoded == "" || strings.ContainsAny(encoded, "\r\n") {
		return errors.New("must contain the image in base64 on one line")
	}
	image, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("must contain the image in base64: %w", err)
	}
	if declared := form[1]; declared != "svg+xml" {
		if found := sniff(image); found != declared {
			return fmt.Errorf("is declared as %s, but contains %s", declared, typeName(found))
		}
		return nil
	}
	if found := sniff(image); found != "" {
		return fmt.Errorf("is declared as svg+xml, but contains %s", found)
	}
	return checkSVG(image)
}

// sniff returns the type of an image by its first bytes, as browsers determine it (MIME Sniffing
// Standard, section 6.1). It returns "" for any other type.
func sniff(image []byte) string {
	switch {
	case bytes.HasPrefix(image, []byte("\x89PNG\r\n\x1a\n")):
		return "png"
	case bytes.HasPrefix(image, []byte("\xff\xd8\xff")):
		return "jpeg"
	case bytes.HasPrefix(image, []byte("GIF87a")), bytes.HasPrefix(image, []byte("GIF89a")):
		return "gif"
	case len(image) >= 14 && string(image[:4]) == "RIFF" && string(image[8:14]) == "WEBPVP":
		return "webp"
	}
	return ""
}

func typeName(found string) string {
	if found == "" {
		return "no supported image type"
	}
	return found
}

// checkSVG rejects SVG features that have no effect on the page. In an <img>, browsers run no
// script of an SVG and fetch nothing for it. A logo with such features would be displayed
// differently on the page than in the editor. It could also harm a user who opens the image on its
// own.
func checkSVG(image []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(image))
	root, style := true, false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if root {
				return errors.New("is declared as svg+xml, but has no <svg>")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("is declared as svg+xml, but can't be parsed: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if root && (token.Name.Local != "svg" || token.Name.Space != "http://www.w3.org/2000/svg") {
				return fmt.Errorf("is declared as svg+xml, but begins with <%s> and not with an <svg> of its namespace",
					token.Name.Local)
			}
			root, style = false, strings.EqualFold(token.Name.Local, "style")
			if err := checkElement(token); err != nil {
				return err
			}
		case xml.EndElement:
			style = false
		case xml.CharData:
			if style && !selfContained(string(token)) {
				return errors.New("has a style that refers to something outside it")
			}
		case xml.Directive:
			if bytes.ContainsAny(token, "[") {
				return errors.New("has a document type with declarations")
			}
		case xml.ProcInst:
			if token.Target != "xml" {
				return fmt.Errorf("has the processing instruction %q", token.Target)
			}
		}
	}
}

func checkElement(element xml.StartElement) error {
	switch strings.ToLower(element.Name.Local) {
	case "script", "foreignobject", "handler", "iframe", "object", "embed":
		return fmt.Errorf("has a <%s>", element.Name.Local)
	}
	for _, a := range element.Attr {
		switch name := strings.ToLower(a.Name.Local); {
		case a.Name.Space == "" && strings.HasPrefix(name, "on"):
			return fmt.Errorf("has the event handler %s", a.Name.Local)
		case (name == "href" || name == "src") && !isInternal(a.Value):
			return fmt.Errorf("has a <%s> that refers to something outside it", element.Name.Local)
		case name == "attributename" && animatesUnsafely(a.Value):
			return fmt.Errorf("animates %s", a.Value)
		case !selfContained(a.Value):
			return fmt.Errorf("has the attribute %s, which refers to something outside it", a.Name.Local)
		}
	}
	return nil
}

// animatesUnsafely reports whether an animation of the attribute could set a reference or an event
// handler.
func animatesUnsafely(attribute string) bool {
	attribute = strings.ToLower(attribute)
	return strings.HasSuffix(attribute, "href") || strings.HasPrefix(attribute, "on")
}

// isInternal reports whether a reference leads to a part of the same image, or to an image embedded
// in it.
func isInternal(reference string) bool {
	return reference == "" || reference[0] == '#' || embeddedImage.MatchString(reference)
}

var (
	embeddedImage = regexp.MustCompile(`^data:image/(png|jpeg|gif|webp);base64,`)
	// fetchingCSS matches the ways to fetch from a style other than url(…): a string in @import or
	// image-set(), src(), and escapes that hide them.
	fetchingCSS = regexp.MustCompile(`(?i)@import|image-set\(|src\(|\\`)
	urlFunction = regexp.MustCompile(`(?i)url\(\s*["']?([^"')]*)`)
)

// selfContained reports whether CSS, or an attribute that may contain CSS, refers only to the image
// itself.
func selfContained(css string) bool {
	if fetchingCSS.MatchString(css) {
		return false
	}
	for _, found := range urlFunction.FindAllStringSubmatch(css, -1) {
		if !isInternal(strings.TrimSpace(found[1])) {
			return false
		}
	}
	return true
}
