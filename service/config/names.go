package config

import (
	"regexp"

	"github.com/deskmint/deskmint/service/zendesk"
)

// name is what configurations, callers and issuers may be called. The API's messages
// hold configurations to the same pattern.
var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// unique remembers where a value stood first.
type unique map[string]place

// add reports a value that has been before. what names it in the message, since the
// value itself may be as good as a secret.
func (u unique) add(at place, value, what string) {
	first, used := u[value]
	if !used {
		u[value] = at
		return
	}
	at.problem("is the same %s as in %s: each needs its own", what, at.seeing(first))
}

func checkName(at place, value string, names unique) {
	switch {
	case value == "":
		at.problem("is required")
	case !name.MatchString(value):
		at.problem("must be lower-case letters, digits and hyphens, at most 63, with no hyphen at either end")
	default:
		names.add(at, value, "name")
	}
}

// isDomain is true of an email domain, in the form in which addresses are compared.
func isDomain(s string) bool {
	email, err := zendesk.ParseEmail("x@" + s)
	return err == nil && email == "x@"+s
}

// hostName is a host as certificates name it: a DNS name in lower case, without wildcards.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
