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

var logoForm = regexp.MustCompile(`^data:image/(png|jpeg|gif|webp|svg\+xml);base64,`)

func checkLogo(logo string) error {
	if logo == "" {
		return nil
	}
	if len(logo) > maxLogo {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(logo), maxLogo)
	}
	form := logoForm.FindStringSubmatch(logo)
	if form == nil {
		return errors.New("must begin data:image/png;base64, or the same with jpeg, gif, webp or svg+xml")
	}
	encoded := logo[len(form[0]):]
	// The decoder skips line ends; a URI has none.
	if encoded == "" || strings.ContainsAny(encoded, "\r\n") {
		return errors.New("must hold the image in base64 on one line")
	}
	image, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("must hold the image in base64: %w", err)
	}
	if declared := form[1]; declared != "svg+xml" {
		if found := sniff(image); found != declared {
			return fmt.Errorf("says that it is %s, but holds %s", declared, orUnknown(found))
		}
		return nil
	}
	if found := sniff(image); found != "" {
		return fmt.Errorf("says that it is svg+xml, but holds %s", found)
	}
	return checkSVG(image)
}

// sniff returns the type of an image by its first bytes, as browsers tell it (MIME Sniffing
// Standard, section 6.1), or "" for another.
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

func orUnknown(found string) string {
	if found == "" {
		return "none of the images it may be"
	}
	return found
}

// checkSVG refuses what an image can't use anyway: in an <img>, browsers run no script of it and
// fetch nothing for it. A logo that has such parts would look otherwise on the page than where it
// was made, and harm whoever opens it alone.
func checkSVG(image []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(image))
	root, style := true, false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if root {
				return errors.New("says that it is svg+xml, but has no <svg>")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("says that it is svg+xml, but can't be read: %w", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if root && (token.Name.Local != "svg" || token.Name.Space != "http://www.w3.org/2000/svg") {
				return fmt.Errorf("says that it is svg+xml, but begins with <%s> and not with an <svg> of its namespace", token.Name.Local)
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
		case (name == "href" || name == "src") && !inside(a.Value):
			return fmt.Errorf("has a <%s> that refers to something outside it", element.Name.Local)
		// What an animation would write there.
		case name == "attributename" && (strings.HasSuffix(strings.ToLower(a.Value), "href") || strings.HasPrefix(strings.ToLower(a.Value), "on")):
			return fmt.Errorf("animates %s", a.Value)
		case !selfContained(a.Value):
			return fmt.Errorf("has the attribute %s, which refers to something outside it", a.Name.Local)
		}
	}
	return nil
}

// inside says of a reference that it leads to a part of the same image, or to an image that it
// carries.
func inside(reference string) bool {
	return reference == "" || reference[0] == '#' || embedded.MatchString(reference)
}

var (
	embedded = regexp.MustCompile(`^data:image/(png|jpeg|gif|webp);base64,`)
	// What a style can fetch with: url(…), a string in @import or image-set(), and escapes that
	// hide them.
	fetching = regexp.MustCompile(`(?i)@import|image-set\(|src\(|\\`)
	address  = regexp.MustCompile(`(?i)url\(\s*["']?([^"')]*)`)
)

// selfContained says of CSS, or of an attribute that may be some, that it refers to nothing outside
// the image.
func selfContained(css string) bool {
	if fetching.MatchString(css) {
		return false
	}
	for _, found := range address.FindAllStringSubmatch(css, -1) {
		if !inside(strings.TrimSpace(found[1])) {
			return false
		}
	}
	return true
}
