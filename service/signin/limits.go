package signin

import (
	"strings"

	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/zendesk"
)

// limitUser is the name of the limit of each person, in the metadata of a refusal.
const limitUser = "user_rate"

// limitsOf are what a sign-in is counted against; all of them must have one left.
// Where a request leaves the role out, the person keeps the one that Zendesk has,
// which at a configuration for team members may be any.
//
// A person is counted for each caller by itself. Otherwise one caller could use up the sign-ins of
// a person and so keep them out at every other caller.
func limitsOf(who caller.Caller, g *policy.Grant, conf *config.Configuration, ask Request, email string) []policy.Limit {
	role := ask.SignIn.User.Role
	team := role == zendesk.RoleAgent || role == zendesk.RoleAdmin || role == zendesk.RoleUnset && conf.Profile.Serves(zendesk.TeamMember)
	key := strings.Join([]string{conf.Name, who.Name, email}, " ")
	person := policy.Limit{Name: limitUser, Key: key, Rate: conf.UserRate, PerPerson: true}
	return append([]policy.Limit{person}, g.Limits(team)...)
}
