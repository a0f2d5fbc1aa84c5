package page

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// Frame holds the properties of one brand's page that don't affect its appearance. They come from
// the configuration, never from a request.
type Frame struct {
	// Brand is the brand's name as users know it. Required.
	Brand string
	// Action is the absolute http or https URL that the form posts to. Required.
	Action string
	// FormActionSources are the origins that the POST may reach: the origin of the action and those
	// of every redirect after it. Each has the form scheme://host or scheme://host:port. Chrome and
	// Safari apply this list to the whole chain of redirects (CSP Level 3, section 6.4.1). Firefox
	// applies it to the first step only. So if an origin is missing, the sign-in fails in some
	// browsers. At least the action's origin is required.
	FormActionSources []string
	// ReferrerPolicy is no-referrer or strict-origin. The default is no-referrer, with which
	// browsers send "Origin: null".
	ReferrerPolicy string
	// LoopLimit is the number of sign-ins in one tab within LoopWindow at which the page stops. The
	// page doesn't submit itself for the sign-in with this number. 0 means 4. Other values must be
	// at least 2.
	LoopLimit int
	// LoopWindow is how long a sign-in counts towards LoopLimit. 0 means 60 s. Other values must be
	// between 1 s and 24 h.
	LoopWindow time.Duration
	// Scope separates the counts of pages that are served from one origin. It consists of the
	// configuration and the brand. Required.
	Scope string
}

const (
	defaultReferrerPolicy = "no-referrer"
	defaultLoopLimit      = 4
	defaultLoopWindow     = time.Minute
)

// sourcePattern is stricter than CSP's host-source. It allows no wildcard, no path, and no
// character that could end the directive. CSP has no notation for IPv6 addresses, so the form can't
// post to one.
var sourcePattern = regexp.MustCompile(`^https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?$`)

func (f Frame) withDefaults() Frame {
	if f.ReferrerPolicy == "" {
		f.ReferrerPolicy = defaultReferrerPolicy
	}
	if f.LoopLimit == 0 {
		f.LoopLimit = defaultLoopLimit
	}
	if f.LoopWindow == 0 {
		f.LoopWindow = defaultLoopWindow
	}
	return f
}

// check returns every error in the frame. The defaults must already be filled in.
func (f Frame) check() error {
	var errs []error
	if f.Brand == "" {
		errs = append(errs, errors.New("brand name is empty"))
	} else if err := CheckBrand(f.Brand); err != nil {
		errs = append(errs, fmt.Errorf("brand name %w", err))
	}
	for _, source := range f.FormActionSources {
		if err := CheckSource(source); err != nil {
			errs = append(errs, fmt.Errorf("form-action source %q %w", source, err))
		}
	}
	if err := f.checkAction(); err != nil {
		errs = append(errs, err)
	}
	if f.ReferrerPolicy != "no-referrer" && f.ReferrerPolicy != "strict-origin" {
		err := fmt.Errorf("referrer policy %q is neither no-referrer nor strict-origin", f.ReferrerPolicy)
		errs = append(errs, err)
	}
	if f.LoopLimit < 2 {
		errs = append(errs, fmt.Errorf("loop limit %d is below 2: no sign-in would be possible", f.LoopLimit))
	}
	if f.LoopWindow < time.Second || f.LoopWindow > 24*time.Hour {
		errs = append(errs, fmt.Errorf("loop window %s is not from 1s to 24h", f.LoopWindow))
	}
	if f.Scope == "" {
		errs = append(errs, errors.New("scope is empty"))
	}
	return errors.Join(errs...)
}

// CheckBrand returns an error if a page can't show the name of a brand.
func CheckBrand(name string) error { return checkText(name, maxTitle) }

// CheckSource returns an error if the policy of a page can't name an origin.
func CheckSource(origin string) error {
	if !sourcePattern.MatchString(origin) {
		return errors.New("can't be in a page's policy: it must be scheme://host or scheme://host:port in lower " +
			"case, and no IPv6 address")
	}
	return nil
}

func (f Frame) checkAction() error {
	action, err := url.Parse(f.Action)
	if err != nil {
		return fmt.Errorf("action: %w", err)
	}
	if action.User != nil || action.Fragment != "" || action.Opaque != "" {
		return fmt.Errorf("action %q has user info, a fragment or no host", action.Redacted())
	}
	if origin := action.Scheme + "://" + action.Host; !slices.Contains(f.FormActionSources, origin) {
		return fmt.Errorf("action's origin %q is not among the form-action sources: browsers would refuse to post",
			origin)
	}
	return nil
}
