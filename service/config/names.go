package config

import (
	"maps"
	"regexp"
	"slices"

	"github.com/deskmint/deskmint/service/config/internal/yamlfile"
	"github.com/deskmint/deskmint/service/zendesk"
)

// name matches the names of configurations, callers and issuers. The messages of the API have the
// same pattern for the names of configurations.
var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// unique contains the first place of each value.
type unique map[string]yamlfile.Place

// add adds a value, or reports a problem if it was added before. what describes the value in the
// message, because the value may be a secret.
func (u unique) add(at yamlfile.Place, value, what string) {
	first, used := u[value]
	if !used {
		u[value] = at
		return
	}
	at.Problem("is the same %s as in %s: each must be different", what, at.Reference(first))
}

func checkName(at yamlfile.Place, value string, names unique) {
	switch {
	case value == "":
		at.Problem("is required")
	case !name.MatchString(value):
		at.Problem("must be lower-case letters, digits and hyphens, at most 63, with no hyphen at either end")
	default:
		names.add(at, value, "name")
	}
}

// emailDomain returns an email domain in the form in which addresses are compared. It returns "" if
// s is no domain. An operator may name addresses and domains of all forms, so that people can be
// protected before a configuration accepts a form.
func emailDomain(s string) string {
	email, err := zendesk.ParseEmail("x@"+s, zendesk.EmailForms()...)
	if err != nil {
		return ""
	}
	return zendesk.EmailDomain(email)
}

// hostName matches a host in the form in which certificates are compared: a DNS name in lower case,
// without wildcards.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
