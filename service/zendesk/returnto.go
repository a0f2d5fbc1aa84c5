package zendesk

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Destination is a return_to that may be posted.
type Destination struct {
	// URL is the URL to post: ASCII, percent-encoded, a path or an absolute URL.
	URL string
	// Hosts are the hosts of the URL and of the URLs nested in it, each with its port if any. A path
	// has none, because it stays at the brand's subdomain.
	Hosts []string
}

// ForeignError reports a well-formed return_to that the brand doesn't allow.
type ForeignError struct{ Description string }

func (e *ForeignError) Error() string { return "return_to " + e.Description }

// ReturnTo is a return_to that has been read and normalised. Whether a brand allows it is a
// separate question: see [Brand.Accept].
type ReturnTo struct {
	url    string
	origin string // of an absolute URL; "" for a path
	fault  string // why no brand allows it, apart from the origin
	target bool   // it is one of Zendesk's own targets
	nested []ReturnTo
}

// ParseReturnTo reads and normalises the URL that a person is sent to after signing in. It fails for
// a text that is no URL, or that browsers and servers read in different ways. The error names the
// broken rule.
//
// It percent-encodes everything that RFC 3986 doesn't allow as it is, because web frameworks provide
// URLs decoded. It writes the origin of an absolute URL as browsers do: in lower case, without the
// default port, and with a slash behind it.
func ParseReturnTo(s string) (ReturnTo, error) {
	var p returnToParser
	return p.parse(s)
}

// Host returns the host of an absolute URL, with its port if any. It returns "" for a path.
func (r ReturnTo) Host() string {
	_, host, _ := strings.Cut(r.origin, "://")
	return host
}

// ReturnTo checks the URL that a person is sent to after signing in. It is [ParseReturnTo] and
// [Brand.Accept].
func (b *Brand) ReturnTo(s string) (Destination, error) {
	r, err := ParseReturnTo(s)
	if err != nil {
		return Destination{}, err
	}
	return b.Accept(r)
}

// Accept checks whether the brand allows a return_to. Zendesk doesn't document what it does with
// URLs of other sites, so the brand allows only a path, or a URL with an origin of its own: https
// with the host of its subdomain or of a mapped host, without user name and with the default port.
//
// It refuses paths at which Zendesk signs people in or out or redirects them again. It also refuses
// a path that any reader could mistake for one of these or for another host, or that hides a control
// character. Two of Zendesk's own targets are allowed if the settings say so. Each URL that is
// nested in a query or fragment must pass the same rule.
//
// The error is a [*ForeignError].
func (b *Brand) Accept(r ReturnTo) (Destination, error) {
	d := Destination{URL: r.url}
	if why := b.refusal(&r, &d); why != "" {
		return Destination{}, &ForeignError{why}
	}
	return d, nil
}

func (b *Brand) refusal(r *ReturnTo, d *Destination) string {
	switch {
	case r.origin != "" && !slices.Contains(b.origins, r.origin):
		return fmt.Sprintf("must be a path, or start with one of %s/", strings.Join(b.origins, "/, "))
	case r.fault != "":
		return r.fault
	case r.target && !b.zendeskTargets:
		return faultSignsIn
	}
	if r.origin != "" {
		d.Hosts = append(d.Hosts, r.Host())
	}
	for i := range r.nested {
		if why := b.refusal(&r.nested[i], d); why != "" {
			return faultNested + why
		}
	}
	return ""
}

const (
	faultNested = "has a nested URL that "
	faultNoSite = "is no URL of a web site"
)

func (p *returnToParser) parse(s string) (ReturnTo, error) {
	encoded, err := encodeReturnTo(s)
	if err != nil {
		return ReturnTo{}, err
	}
	r := ReturnTo{url: encoded}
	if !isPath(encoded) {
		if r, err = absolute(encoded); err != nil {
			return ReturnTo{}, err
		}
	}
	if r.fault != "" {
		return r, nil
	}
	// Check the path as written, because net/url decodes it.
	path, rest := r.url[len(r.origin):], ""
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path, rest = path[:end], path[end:]
	}
	query, fragment, _ := strings.Cut(rest, "#")
	if r.target = path == targetReturnTo || path == targetSignedIn; !r.target {
		r.fault = pathFault(path)
	} else if path == targetReturnTo && !namesReturnTo.MatchString(query) {
		// What Zendesk does there without a return_to is unknown, and no real link has been seen.
		r.fault = "leads to " + targetReturnTo + " without a return_to in its query"
	}
	texts := [...]string{path, strings.TrimPrefix(query, "?"), fragment}
	if r.target {
		texts[0] = ""
	}
	for _, text := range texts { // a path too, because a server may decode the start of a query in it
		if r.fault == "" && text != "" {
			p.scan(&r, text, 0)
		}
	}
	return r, nil
}

// isPath reports whether s is a path that can't be read as a host.
func isPath(s string) bool { return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") }

// absolute normalises the origin of a URL. Two parsers must agree on the origin: this one, which
// compares bytes, and net/url. So a mistake in one of them is not enough.
func absolute(s string) (ReturnTo, error) {
	var origin string
	if head := s[:headLength(s)]; strings.Contains(head, "://") {
		if origin = normalizeOrigin(head); origin == "" {
			return ReturnTo{origin: head, fault: faultNoSite}, nil
		}
		rest := s[len(head):]
		if !strings.HasPrefix(rest, "/") {
			rest = "/" + rest
		}
		s = origin + rest
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return ReturnTo{}, errFault("can't be read as a URL")
	case len(s) > maxReturnTo:
		return ReturnTo{}, errTooLong
	case strings.HasPrefix(s, "//"):
		return ReturnTo{fault: "starts with two slashes, which leads to another host: " +
			"give a path with one, or a whole https URL"}, nil
	case u.Scheme == "":
		return ReturnTo{}, errFault("is neither a path that starts with a slash nor an https URL")
	case u.User != nil || u.Opaque != "" || u.Scheme+"://"+u.Host != origin:
		return ReturnTo{origin: u.Scheme + ":", fault: faultNoSite}, nil // no brand's origin
	}
	return ReturnTo{url: s, origin: origin}, nil
}

// normalizeOrigin writes an origin as browsers do. It changes only what they all read in the same
// way: upper case, and a port that is the default or empty. It returns "" for what no origin is.
func normalizeOrigin(s string) string {
	s = strings.ToLower(s)
	port := ":443"
	if strings.HasPrefix(s, "http://") {
		port = ":80"
	}
	short, ok := strings.CutSuffix(s, port)
	if !ok {
		short = strings.TrimSuffix(s, ":")
	}
	_, host, _ := strings.Cut(short, "://")
	if short != s && strings.Contains(host, ":") && !strings.HasSuffix(host, "]") {
		return "" // it has two ports
	}
	return short
}
