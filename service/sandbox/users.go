package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// maxUsers is how many users the account remembers; the oldest go first.
const maxUsers = 1000

// User is a person as the account has them after their latest sign-in.
type User struct {
	ID            int // 1, 2, …
	Email, Name   string
	ExternalID    string
	Role          string // end_user, agent or admin
	CustomRoleID  string // in decimal; "" for none, as with all that follow
	LocaleID      string
	Phone         string
	PhotoURL      string
	Organizations []string // names, or "external id X"; the first is the user's own, the others are secondary
	Tags          []string
	UserFields    map[string]string
}

// Field is one thing that the account knows of a user, as text.
type Field struct{ Name, Value string }

// Change is what a sign-in made of a field; "" on either side is nothing.
type Change struct{ Field, Before, After string }

// Fields are all that the account knows of the user, in a fixed order. Empty ones are left out.
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

// clone shares nothing with the original.
func (u User) clone() User {
	u.Organizations, u.Tags, u.UserFields = slices.Clone(u.Organizations), slices.Clone(u.Tags), maps.Clone(u.UserFields)
	return u
}

// changes are the fields that differ, in the order of [User.Fields].
func changes(before, after User) []Change {
	var all []Change
	was := map[string]string{}
	for _, f := range before.Fields() {
		was[f.Name] = f.Value
	}
	for _, f := range after.Fields() {
		if was[f.Name] != f.Value {
			all = append(all, Change{f.Name, was[f.Name], f.Value})
		}
		delete(was, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		all = append(all, Change{name, was[name], ""})
	}
	return all
}

// users are the account's. The zero value is ready.
type users struct {
	mu     sync.Mutex
	last   int
	oldest []*User // first
}

// all returns copies, the newest first.
func (u *users) all() []User {
	u.mu.Lock()
	defer u.mu.Unlock()
	var all []User
	for _, user := range slices.Backward(u.oldest) {
		all = append(all, user.clone())
	}
	return all
}

// Users returns those who have signed in, the newest first, at most a thousand.
func (s *Sandbox) Users() []User { return s.users.all() }

// signIn makes the user that the claims describe, or brings the one there is up to date, and notes
// in attempt what changed. The claims have been judged.
func (u *users) signIn(c claims, configuration Configuration, multipleOrganizations bool, attempt *SignIn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	user, byExternalID := u.find(c)
	if attempt.Created = user == nil; attempt.Created {
		u.last++
		user = &User{ID: u.last}
		u.oldest = append(u.oldest[max(0, len(u.oldest)-maxUsers+1):], user)
	}
	before := user.clone()
	writer := writer{c, user, nil}
	if byExternalID {
		writer.note("found by external id, since nobody has this email: the user's email was changed")
	}
	writer.identity(attempt.Created, u.taken(c.text("external_id"), user), configuration.UpdateExternalIDs)
	writer.role()
	writer.locale()
	writer.contact()
	writer.organizations(multipleOrganizations)
	writer.fields()
	attempt.User, attempt.Changes, attempt.Notes = user.ID, changes(before, *user), append(attempt.Notes, writer.notes...)
}

func (u *users) find(c claims) (user *User, byExternalID bool) {
	email, external := strings.ToLower(c.text("email")), c.text("external_id")
	if i := slices.IndexFunc(u.oldest, func(user *User) bool { return user.Email == email }); i >= 0 {
		return u.oldest[i], false
	}
	if i := slices.IndexFunc(u.oldest, func(user *User) bool { return external != "" && user.ExternalID == external }); i >= 0 {
		return u.oldest[i], true
	}
	return nil, false
}

// taken reports whether another user has the external id.
func (u *users) taken(external string, user *User) bool {
	return slices.ContainsFunc(u.oldest, func(other *User) bool { return other != user && external != "" && other.ExternalID == external })
}

// writer brings one user up to date with one token.
type writer struct {
	claims claims
	user   *User
	notes  []string
}

func (w *writer) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

func (w *writer) identity(created, taken, update bool) {
	w.user.Email, w.user.Name = strings.ToLower(w.claims.text("email")), w.claims.text("name")
	external := w.claims.text("external_id")
	switch {
	case external == "" || external == w.user.ExternalID:
	case taken:
		w.note("the external id was left alone: another user has this one")
	case created || w.user.ExternalID == "" || update:
		w.user.ExternalID = external
	default:
		w.note("the external id was left alone: the configuration doesn't update external ids")
	}
}

// role follows the article: what differs is changed, and the default is end_user.
func (w *writer) role() {
	role := w.claims.text("role")
	switch {
	case role != "":
	case w.user.Role == "agent" || w.user.Role == "admin":
		w.note("the token has no role, and the documented default is end_user: this %s is one no more. "+
			"Whether Zendesk really does that, it doesn't say: send the role", w.user.Role)
		role = "end_user"
	default:
		role = "end_user"
	}
	w.user.Role = role
	if w.user.Role != "agent" {
		w.user.CustomRoleID = ""
	} else if id, ok := w.claims["custom_role_id"]; ok {
		w.user.CustomRoleID = scalarText(id)
	}
}

// locale takes each kind of user's own claim; the other's is not documented for them.
func (w *writer) locale() {
	own, other := "locale", "locale_id"
	if w.user.Role != "end_user" {
		own, other = other, own
	}
	if id, ok := w.claims[own]; ok {
		w.user.LocaleID = scalarText(id)
	}
	if _, ok := w.claims[other]; ok {
		w.note("%s was ignored: for a user of the role %s the claim is %s", other, w.user.Role, own)
	}
}

func (w *writer) contact() {
	if phone := w.claims.text("phone"); phone != "" {
		w.user.Phone = phone
	}
	if photo := w.claims.text("remote_photo_url"); photo != "" {
		w.user.PhotoURL = photo
	}
	// An array takes the place of all tags, an empty one too; without the claim they stay.
	if tags, ok := w.claims["tags"].([]any); ok {
		w.user.Tags = nil
		for _, tag := range tags {
			w.user.Tags = append(w.user.Tags, scalarText(tag))
		}
	}
}

// organizations prefers ids to names. Either may hold several, separated by commas.
func (w *writer) organizations(multiple bool) {
	list := func(one, several, prefix string) (all []string) {
		for _, claim := range []string{one, several} {
			value, ok := w.claims[claim]
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
		w.note("the organisations' names were ignored: ids go first")
	}
	if len(wanted) == 0 {
		return
	}
	if !multiple {
		if len(wanted) > 1 {
			w.note("only the first organisation was taken: the account doesn't allow several")
		}
		w.user.Organizations = wanted[:1]
		return
	}
	for _, organization := range wanted {
		if !slices.Contains(w.user.Organizations, organization) {
			w.user.Organizations = append(w.user.Organizations, organization)
		}
	}
}

// fields sets custom fields, and clears those that are null. What doesn't fit is passed over in
// silence at Zendesk.
func (w *writer) fields() {
	sent, _ := w.claims["user_fields"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(sent)) {
		switch value := sent[key].(type) {
		case nil:
			delete(w.user.UserFields, key)
		case string, bool, json.Number:
			if w.user.UserFields == nil {
				w.user.UserFields = map[string]string{}
			}
			w.user.UserFields[key] = scalarText(value)
		default:
			w.note("user_fields.%s was ignored: the value doesn't fit the field", key)
		}
	}
}

// scalarText returns a string, number or bool from JSON as text.
func scalarText(value any) string { return fmt.Sprint(value) }
