package signin

import (
	"strings"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// The names of the limits of requests that are no sign-ins, in the metadata of a refusal.
const (
	LimitRead     = "read_rate"     // list, get, resolve
	LimitInspect  = "inspect_rate"  // inspect
	LimitReport   = "report_rate"   // report
	LimitValidate = "validate_rate" // sign-ins with validate_only
)

// CallerLimit returns the limit of a caller's requests of one kind that are no sign-ins. They count
// separately, so that they use up no sign-ins.
func (c Context) CallerLimit(name string) policy.Limit {
	return policy.Limit{Name: name, Key: c.Caller.Name, Rate: c.Snapshot.Policy.CallerRate(c.Caller.Name)}
}

// limitUser is the name of the limit of each user, in the metadata of a refusal.
const limitUser = "user_rate"

// limitsOf returns the limits that a sign-in counts against. Without a role in the request, the
// user keeps the role at Zendesk, which can be any if the configuration is for team members.
//
// Each caller has a separate count of each user. Otherwise one caller could use up the sign-ins of
// a user and keep the user out at every other caller.
func limitsOf(
	who caller.Caller, g *policy.Grant, conf *config.Configuration, role zendesk.Role, email string,
) []policy.Limit {
	team := role == zendesk.RoleAgent || role == zendesk.RoleAdmin ||
		role == zendesk.RoleUnset && conf.Profile.Serves(zendesk.TeamMember)
	key := strings.Join([]string{conf.Name, who.Name, email}, " ")
	person := policy.Limit{Name: limitUser, Key: key, Rate: conf.UserRate, PerPerson: true}
	return append([]policy.Limit{person}, g.Limits(team)...)
}
