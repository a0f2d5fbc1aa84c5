package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

const (
	maxUsers     = 1000     // the oldest are deleted first
	maxUserBytes = 64 << 10 // of a user's fields as text
)

// User is a user of the account, with the data of the latest sign-in.
type User struct {
	ID            int // 1, 2, …
	Email, Name   string
	ExternalID    string
	Role          string // end_user, agent or admin
	CustomRoleID  string // in decimal; "" if there is none, as in the fields below
	LocaleID      string
	Phone         string
	PhotoURL      string
	Organizations []string // names, or "external id X"; the first is the primary one, the others are secondary
	Tags          []string
	UserFields    map[string]string
}

// Field is a field of a user, as text.
type Field struct{ Name, Value string }

// Change is a change that a sign-in made to a field. "" means that the field has no value.
type Change struct{ Field, Before, After string }

// Fields returns all fields of the user in a fixed order, without empty ones.
func (u User) Fields() []Field {
	all := []Field{
		{"email", u.Email},
		{"name", u.Name},
		{"external_id", u.ExternalID},
		{"role", u.Role},
		{"custom_role_id", u.CustomRoleID},
		{"locale", u.LocaleID},
		{"phone", u.Phone},
		{"photo", u.PhotoURL},
		{"organizations", strings.Join(u.Organizations, ", ")},
		{"tags", strings.Join(u.Tags, ", ")},
	}
	for _, key := range slices.Sorted(maps.Keys(u.UserFields)) {
		all = append(all, Field{"user_fields." + key, u.UserFields[key]})
	}
	return slices.DeleteFunc(all, func(f Field) bool { return f.Value == "" })
}

// size returns the number of bytes of all fields.
func (u User) size() (n int) {
	for _, f := range u.Fields() {
		n += len(f.Name) + len(f.Value)
	}
	return n
}

// clone returns a deep copy.
func (u User) clone() User {
	u.Organizations, u.Tags = slices.Clone(u.Organizations), slices.Clone(u.Tags)
	u.UserFields = maps.Clone(u.UserFields)
	return u
}

// changes returns the fields that differ, in the order of [User.Fields].
func changes(before, after User) []Change {
	var all []Change
	old := map[string]string{}
	for _, f := range before.Fields() {
		old[f.Name] = f.Value
	}
	for _, f := range after.Fields() {
		if old[f.Name] != f.Value {
			all = append(all, Change{f.Name, old[f.Name], f.Value})
		}
		delete(old, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		all = append(all, Change{name, old[name], ""})
	}
	return all
}

// users are the users of the account. The zero value is ready to use.
type users struct {
	mu     sync.Mutex
	last   int
	sorted []*User // oldest first
}

// all returns copies of all users, newest first.
func (u *users) all() []User {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []User
	for _, user := range slices.Backward(u.sorted) {
		all = append(all, user.clone())
	}
	return all
}

// Users returns at most a thousand users who have signed in, newest first.
func (s *Sandbox) Users() []User { return s.users.all() }

// signIn creates or updates the user that the claims describe, and records the changes in attempt.
// The claims must be valid.
func (u *users) signIn(c claims, configuration Configuration, multipleOrganizations bool, attempt *SignIn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user, byExternalID := u.find(c)
	if attempt.Created = user == nil; attempt.Created {
		u.last++
		user = &User{ID: u.last}
		u.sorted = append(u.sorted[max(0, len(u.sorted)-maxUsers+1):], user)
	}
	before := user.clone()
	update := userUpdate{claims: c, user: user}
	if byExternalID {
		update.note("found by external id, because no user has this email: the user's email was changed")
	}
	update.identity(attempt.Created, u.taken(c.text("external_id"), user), configuration.UpdateExternalIDs)
	update.role()
	update.locale()
	update.contact()
	update.organizations(multipleOrganizations)
	update.fields()
	if user.size() > maxUserBytes {
		user.Organizations, user.UserFields = before.Organizations, before.UserFields
		update.note("organisations and user fields were not changed: the sandbox keeps at most %d KiB of a user",
			maxUserBytes>>10)
	}
	attempt.User, attempt.Changes = user.ID, changes(before, *user)
	attempt.Notes = append(attempt.Notes, update.notes...)
}

// clear deletes all users. Their IDs aren't used again.
func (u *users) clear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sorted = nil
}

func (u *users) find(c claims) (user *User, byExternalID bool) {
	email, external := strings.ToLower(c.text("email")), c.text("external_id")
	if i := slices.IndexFunc(u.sorted, func(user *User) bool { return user.Email == email }); i >= 0 {
		return u.sorted[i], false
	}
	hasExternalID := func(user *User) bool { return external != "" && user.ExternalID == external }
	if i := slices.IndexFunc(u.sorted, hasExternalID); i >= 0 {
		return u.sorted[i], true
	}
	return nil, false
}

// taken reports whether another user has the external ID.
func (u *users) taken(external string, user *User) bool {
	return slices.ContainsFunc(u.sorted, func(other *User) bool {
		return other != user && external != "" && other.ExternalID == external
	})
}

// userUpdate updates one user with the claims of one token.
type userUpdate struct {
	claims claims
	user   *User
	notes  []string
}

func (u *userUpdate) note(format string, args ...any) {
	u.notes = append(u.notes, fmt.Sprintf(format, args...))
}

func (u *userUpdate) identity(created, taken, update bool) {
	u.user.Email, u.user.Name = strings.ToLower(u.claims.text("email")), u.claims.text("name")
	external := u.claims.text("external_id")
	switch {
	case external == "" || external == u.user.ExternalID:
	case taken:
		u.note("the external id was not changed: another user has this one")
	case created || u.user.ExternalID == "" || update:
		u.user.ExternalID = external
	default:
		u.note("the external id was not changed: the configuration doesn't update external ids")
	}
}

// role sets the role as the article describes it. A different role is changed, and the default is
// end_user.
func (u *userUpdate) role() {
	role := u.claims.text("role")
	switch {
	case role != "":
	case u.user.Role == "agent" || u.user.Role == "admin":
		u.note("the token has no role, and the documented default is end_user, so this %s became an end user. "+
			"Zendesk doesn't document whether it really does that: send the role", u.user.Role)
		role = "end_user"
	default:
		role = "end_user"
	}
	u.user.Role = role
	if u.user.Role != "agent" {
		u.user.CustomRoleID = ""
	} else if id, ok := u.claims["custom_role_id"]; ok {
		u.user.CustomRoleID = scalarText(id)
	}
}

// locale sets the locale. End users and team members have different claims for it, and the claim of
// the other kind isn't documented for them.
func (u *userUpdate) locale() {
	own, other := "locale", "locale_id"
	if u.user.Role != "end_user" {
		own, other = other, own
	}
	if id, ok := u.claims[own]; ok {
		u.user.LocaleID = scalarText(id)
	}
	if _, ok := u.claims[other]; ok {
		u.note("%s was ignored: for a user of the role %s the claim is %s", other, u.user.Role, own)
	}
}

func (u *userUpdate) contact() {
	if phone := u.claims.text("phone"); phone != "" {
		u.user.Phone = phone
	}
	if photo := u.claims.text("remote_photo_url"); photo != "" {
		u.user.PhotoURL = photo
	}
	// An array, even an empty one, replaces all tags. Without the claim the tags stay.
	if tags, ok := u.claims["tags"].([]any); ok {
		u.user.Tags = nil
		for _, tag := range tags {
			u.user.Tags = append(u.user.Tags, scalarText(tag))
		}
	}
}

// organizations sets the organisations. IDs take precedence over names. Each claim may contain
// several values, separated by commas.
func (u *userUpdate) organizations(multiple bool) {
	list := func(one, several, prefix string) (all []string) {
		for _, claim := range []string{one, several} {
			value, ok := u.claims[claim]
			if !ok {
				continue
			}
			for part := range strings.SplitSeq(scalarText(value), ",") {
				if part = strings.TrimSpace(part); part != "" {
					all = append(all, prefix+part)
				}
			}
		}
		return all
	}
	names := list("organization", "organizations", "")
	wanted := list("organization_id", "organization_ids", "external id ")
	switch {
	case len(wanted) == 0:
		wanted = names
	case len(names) > 0:
		u.note("the organisations' names were ignored: ids take precedence")
	}
	if len(wanted) == 0 {
		return
	}
	if !multiple {
		if len(wanted) > 1 {
			u.note("only the first organisation was used: the account doesn't allow several")
		}
		u.user.Organizations = wanted[:1]
		return
	}
	for _, organization := range wanted {
		if !slices.Contains(u.user.Organizations, organization) {
			u.user.Organizations = append(u.user.Organizations, organization)
		}
	}
}

// fields sets custom fields, and deletes those that are null. Zendesk ignores invalid values
// without a message.
func (u *userUpdate) fields() {
	sent, _ := u.claims["user_fields"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(sent)) {
		switch value := sent[key].(type) {
		case nil:
			delete(u.user.UserFields, key)
		case string, bool, json.Number:
			u.setField(key, scalarText(value))
		case []any: // the options of a multi-select field
			if len(value) == 0 {
				delete(u.user.UserFields, key)
			} else if listOfText(value) == "" {
				u.setField(key, joined(value))
			} else {
				u.ignoreField(key)
			}
		default:
			u.ignoreField(key)
		}
	}
}

func (u *userUpdate) setField(key, value string) {
	if u.user.UserFields == nil {
		u.user.UserFields = map[string]string{}
	}
	u.user.UserFields[key] = value
}

func (u *userUpdate) ignoreField(key string) {
	u.note("user_fields.%s was ignored: the value doesn't fit the field", key)
}

// joined returns the texts of a list, separated by commas.
func joined(list []any) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = scalarText(item)
	}
	return strings.Join(texts, ", ")
}

// scalarText returns a string, number or bool from JSON as text.
func scalarText(value any) string { return fmt.Sprint(value) }
