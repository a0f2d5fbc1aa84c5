package zendesk

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/deskmint/deskmint/service/loopback"
)

// checkOrigin explains why s can't be the origin of a page that receives tokens or people. It
// returns "" if it can.
func checkOrigin(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != s || strings.HasSuffix(s, ":"):
		return "is no origin: write scheme and host only, as https://login.example.com"
	case u.Scheme == "http" && !loopback.BrowserHost(u.Hostname()):
		return "must be https: plain http is for loopback hosts only"
	case u.Scheme != "https" && u.Scheme != "http":
		return "must be https"
	case strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") != "":
		return "must be ASCII in lower case, and without characters that have a meaning in a Content-Security-Policy"
	}
	return ""
}

// originFault describes what is wrong with an origin, and what to write instead if that is known.
func originFault(s string) string {
	fault := checkOrigin(s)
	if fault == "" {
		return ""
	}
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || u.Host == "" {
		return fault
	}
	host := hostLike(u.Hostname())
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	if likely := strings.ToLower(u.Scheme) + "://" + host; checkOrigin(likely) == "" {
		what, _, _ := strings.Cut(fault, ":")
		return what + ": write " + likely
	}
	return fault
}

// hostFault explains why s can't be a mapped host. It returns "" if it can. The explanation says
// what to write instead if that is known.
func hostFault(s string) string {
	if isDomain(s) && s == strings.ToLower(s) {
		return ""
	}
	_, bare, found := strings.Cut(strings.TrimSpace(s), "://")
	if !found {
		bare = strings.TrimSpace(s)
	}
	bare, _, _ = strings.Cut(bare, "/")
	if name, port, found := strings.Cut(bare, ":"); found && strings.Trim(port, "0123456789") == "" {
		bare = name
	}
	advice := "write it as help.example.com, without scheme, port or path"
	_, notAddress := netip.ParseAddr(bare)
	switch likely := hostLike(bare); {
	case isDomain(likely):
		advice = "write " + likely
	case strings.Contains(bare, "*"):
		advice = "write each host, without wildcards"
	case strings.Contains(bare, "_"):
		advice = "a host name has no underscores"
	case notAddress == nil:
		advice = "an IP address can't be mapped to a brand"
	case bare != "" && !strings.Contains(bare, "."):
		advice = "write it with its domain, as help.example.com"
	}
	return fmt.Sprintf("%q is no host name: %s", s, advice)
}

// hostLike returns a host in the form in which hosts are compared, if there is one.
func hostLike(host string) string {
	if isASCII(host) {
		return strings.ToLower(host)
	}
	if ascii, err := asciiDomain(host); err == nil {
		return ascii
	}
	return host
}
