package page

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// Frame is what is fixed for one brand's page beside its look. It comes from the configuration,
// never from a request.
type Frame struct {
	// Brand is the brand's name as users know it. Required.
	Brand string
	// Action is the absolute http or https URL that the form posts to. Required.
	Action string
	// FormActionSources are the origins that the POST may reach, the action's own and those of
	// every redirect after it, each as scheme://host or scheme://host:port. Chrome and Safari hold
	// the whole chain to this list (CSP Level 3, section 6.4.1), Firefox only its first step: an
	// origin that is missing breaks the sign-in in some browsers. At least the action's origin is
	// required.
	FormActionSources []string
	// ReferrerPolicy is no-referrer (when empty) or strict-origin. With the first, browsers send
	// "Origin: null".
	ReferrerPolicy string
	// LoopLimit is the number of the sign-in, within LoopWindow and in one tab, that is stopped. 0:
	// 4; else at least 2.
	LoopLimit int
	// LoopWindow is how long a sign-in counts. 0: 60 s; else from 1 s to 24 h.
	LoopWindow time.Duration
	// Scope tells apart the counts of pages that are served from one origin: configuration and
	// brand. Required.
	Scope string
}

const (
	defaultReferrerPolicy = "no-referrer"
	defaultLoopLimit      = 4
	defaultLoopWindow     = time.Minute
)

// sourceForm is narrower than CSP's host-source: no wildcard, no path, nothing that could end the
// directive. CSP has no notation for IPv6 addresses, so they can't be posted to either.
var sourceForm = regexp.MustCompile(`^https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?$`)

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

// check returns every fault of a frame whose defaults are filled in.
func (f Frame) check() error {
	var faults []error
	if f.Brand == "" {
		faults = append(faults, errors.New("brand name is empty"))
	} else if err := checkText(f.Brand, maxTitle); err != nil {
		faults = append(faults, fmt.Errorf("brand name %w", err))
	}
	for _, source := range f.FormActionSources {
		if !sourceForm.MatchString(source) {
			faults = append(faults, fmt.Errorf("form-action source %q is not scheme://host or scheme://host:port in lower case", source))
		}
	}
	if err := f.checkAction(); err != nil {
		faults = append(faults, err)
	}
	if f.ReferrerPolicy != "no-referrer" && f.ReferrerPolicy != "strict-origin" {
		faults = append(faults, fmt.Errorf("referrer policy %q is neither no-referrer nor strict-origin", f.ReferrerPolicy))
	}
	if f.LoopLimit < 2 {
		faults = append(faults, fmt.Errorf("loop limit %d is below 2: nobody could sign in", f.LoopLimit))
	}
	if f.LoopWindow < time.Second || f.LoopWindow > 24*time.Hour {
		faults = append(faults, fmt.Errorf("loop window %s is not from 1s to 24h", f.LoopWindow))
	}
	if f.Scope == "" {
		faults = append(faults, errors.New("scope is empty"))
	}
	return errors.Join(faults...)
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
		return fmt.Errorf("action's origin %q is not among the form-action sources: browsers would refuse to post", origin)
	}
	return nil
}
