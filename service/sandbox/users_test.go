package sandbox

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// agents makes a step use the secret of the staff configuration.
const agents = "staff"

// step is one sign-in of the same account, with the expected user and notes.
type step struct {
	secret string // empty for customers
	claims map[string]any
	want   string // all fields of the user as NAME=VALUE
	notes  string // part of a note; empty if there are no notes
}

func (s step) run(t *testing.T, z *zendesk) SignIn {
	t.Helper()
	secret := customersSecret
	if s.secret == agents {
		secret = staffSecret
	}
	z.post(t, "acme.localhost", url.Values{"jwt": {sign(goodHeader, claimsWith(s.claims), secret)}})
	return z.last(t)
}

// fieldsOf returns all fields of the user whom a sign-in signed in.
func (z *zendesk) fieldsOf(signIn SignIn) string {
	var all []string
	for _, u := range z.Users() {
		if u.ID == signIn.User {
			for _, f := range u.Fields() {
				all = append(all, f.Name+"="+f.Value)
			}
		}
	}
	return strings.Join(all, " ")
}

const ada = "email=ada@example.com name=Ada Lovelace"

// accounts are the effects of a token on a user as Zendesk's article describes them, and the
// sandbox's choices where it doesn't.
var accounts = map[string]struct {
	change func(*Options)
	steps  []step
}{
	"a user is made with email, name and the default role": {nil, []step{
		{want: ada + " role=end_user"},
	}},
	"the name follows the token": {nil, []step{
		{}, {claims: map[string]any{"name": "Ada King"}, want: "email=ada@example.com name=Ada King role=end_user"},
	}},
	"email is the identity, in any case of letters": {nil, []step{
		{}, {claims: map[string]any{"email": "ADA@Example.com"}, want: ada + " role=end_user"},
	}},
	"another email is another user": {nil, []step{
		{}, {
			claims: map[string]any{"email": "eve@example.com"},
			want:   "email=eve@example.com name=Ada Lovelace role=end_user",
		},
	}},
	"an external id is kept when it is left out": {nil, []step{
		{claims: map[string]any{"external_id": "1"}}, {want: ada + " external_id=1 role=end_user"},
	}},
	"an external id is set where there was none": {nil, []step{
		{}, {claims: map[string]any{"external_id": "1"}, want: ada + " external_id=1 role=end_user"},
	}},
	"an external id is not changed": {nil, []step{
		{claims: map[string]any{"external_id": "1"}},
		{
			claims: map[string]any{"external_id": "2"},
			want:   ada + " external_id=1 role=end_user",
			notes:  "doesn't update external ids",
		},
	}},
	"an external id is changed where the configuration updates them": {
		func(o *Options) { o.Configurations[0].UpdateExternalIDs = true },
		[]step{
			{claims: map[string]any{"external_id": "1"}},
			{claims: map[string]any{"external_id": "2"}, want: ada + " external_id=2 role=end_user"},
		},
	},
	"a new email with a known external id changes the email": {nil, []step{
		{claims: map[string]any{"external_id": "1"}},
		{
			claims: map[string]any{"external_id": "1", "email": "ada@king.example"},
			want:   "email=ada@king.example name=Ada Lovelace external_id=1 role=end_user",
			notes:  "email was changed",
		},
	}},
	"email takes precedence over external id, which stays with its user": {nil, []step{
		{claims: map[string]any{"external_id": "1", "email": "eve@example.com"}},
		{}, {
			claims: map[string]any{"external_id": "1"},
			want:   ada + " role=end_user",
			notes:  "another user has this one",
		},
	}},
	"a role that differs is changed, up and down": {nil, []step{
		{want: ada + " role=end_user"},
		{secret: agents, claims: map[string]any{"role": "agent"}, want: ada + " role=agent"},
		{secret: agents, claims: map[string]any{"role": "admin"}, want: ada + " role=admin"},
		{claims: map[string]any{"role": "end_user"}, want: ada + " role=end_user"},
	}},
	"without a role an agent becomes an end user": {nil, []step{
		{
			secret: agents,
			claims: map[string]any{"role": "agent", "custom_role_id": 7},
			want:   ada + " role=agent custom_role_id=7",
		},
		{secret: agents, want: ada + " role=end_user", notes: "send the role"},
	}},

	"an admin has no custom role": {nil, []step{
		{secret: agents, claims: map[string]any{"role": "agent", "custom_role_id": 7}},
		{secret: agents, claims: map[string]any{"role": "admin"}, want: ada + " role=admin"},
	}},
	"tags replace all tags": {nil, []step{
		{claims: map[string]any{"tags": []string{"vip", "beta"}}, want: ada + " role=end_user tags=vip, beta"},
		{claims: map[string]any{"tags": []string{"new"}}, want: ada + " role=end_user tags=new"},
	}},
	"without the claim tags stay": {nil, []step{
		{claims: map[string]any{"tags": []string{"vip"}}}, {want: ada + " role=end_user tags=vip"},
	}},
	"an empty array deletes the tags": {nil, []step{
		{claims: map[string]any{"tags": []string{"vip"}}}, {
			claims: map[string]any{"tags": []string{}},
			want:   ada + " role=end_user",
		},
	}},
	"user fields are set one by one, and null clears one": {nil, []step{
		{claims: map[string]any{"user_fields": map[string]any{"plan": "gold", "seats": 3, "active": true}},
			want: ada + " role=end_user user_fields.active=true user_fields.plan=gold user_fields.seats=3"},
		{
			claims: map[string]any{"user_fields": map[string]any{"plan": nil, "never": nil}},
			want:   ada + " role=end_user user_fields.active=true user_fields.seats=3",
		},
	}},
	"the options of a user field are set together, and an empty list clears them": {nil, []step{
		{
			claims: map[string]any{"user_fields": map[string]any{"langs": []string{"en", "de"}}},
			want:   ada + " role=end_user user_fields.langs=en, de",
		},
		{claims: map[string]any{"user_fields": map[string]any{"langs": []string{}}}, want: ada + " role=end_user"},
	}},
	"user fields of an invalid type are ignored": {nil, []step{
		{
			claims: map[string]any{"user_fields": map[string]any{"plan": "gold", "list": []any{"a", 1}}},
			want:   ada + " role=end_user user_fields.plan=gold",
			notes:  "list was ignored: the value doesn't fit",
		},
		{
			claims: map[string]any{"user_fields": map[string]any{"plan": map[string]any{"a": 1}}},
			want:   ada + " role=end_user user_fields.plan=gold",
			notes:  "plan was ignored",
		},
		{
			claims: map[string]any{"user_fields": map[string]any{"plan": 7.5, "since": "2026-06-01"}},
			want:   ada + " role=end_user user_fields.plan=7.5 user_fields.since=2026-06-01",
		},
	}},
	"an organisation replaces another": {nil, []step{
		{claims: map[string]any{"organization": "One"}}, {want: ada + " role=end_user organizations=One"},
		{claims: map[string]any{"organization": "Two"}, want: ada + " role=end_user organizations=Two"},
	}},
	"an account with one organisation uses the first of several": {nil, []step{
		{
			claims: map[string]any{"organizations": "One,Two"},
			want:   ada + " role=end_user organizations=One",
			notes:  "doesn't allow several",
		},
	}},
	"organisations are added, and split at commas": {func(o *Options) { o.MultipleOrganizations = true }, []step{
		{
			claims: map[string]any{"organization": "Smith, Jones"},
			want:   ada + " role=end_user organizations=Smith, Jones",
		},
		{
			claims: map[string]any{"organizations": "Two , Smith,,Three"},
			want:   ada + " role=end_user organizations=Smith, Jones, Two, Three",
		},
	}},
	"ids of organisations take precedence over names": {func(o *Options) { o.MultipleOrganizations = true }, []step{
		{
			claims: map[string]any{"organization": "One", "organization_id": "77"},
			want:   ada + " role=end_user organizations=external id 77",
			notes:  "ids take precedence",
		},
		{
			claims: map[string]any{"organization_id": 78},
			want:   ada + " role=end_user organizations=external id 77, external id 78",
		},
		{
			claims: map[string]any{"organizations": "One", "organization_ids": "79,80"},
			want:   ada + " role=end_user organizations=external id 77, external id 78, external id 79, external id 80",
			notes:  "ids take precedence",
		},
	}},
	"locale is for end users": {nil, []step{
		{claims: map[string]any{"locale": 8}, want: ada + " role=end_user locale=8"},
		{claims: map[string]any{"locale_id": 2}, want: ada + " role=end_user locale=8", notes: "locale_id was ignored"},
	}},
	"locale_id is for team members": {nil, []step{
		{secret: agents, claims: map[string]any{"role": "agent", "locale_id": 2}, want: ada + " role=agent locale=2"},
		{
			secret: agents,
			claims: map[string]any{"role": "admin", "locale": 8},
			want:   ada + " role=admin locale=2",
			notes:  "locale was ignored",
		},
	}},
	"phone and photo follow the token, and stay without": {nil, []step{
		{claims: map[string]any{"phone": "+15551234567", "remote_photo_url": "https://a.example/a.png"}},
		{want: ada + " role=end_user phone=+15551234567 photo=https://a.example/a.png"},
	}},
	"email_verified is not documented, and changes nothing": {nil, []step{
		{claims: map[string]any{"email_verified": false}, want: ada + " role=end_user"},
	}},
}

func TestAccounts(t *testing.T) {
	for name, account := range accounts {
		t.Run(name, func(t *testing.T) {
			z := startWith(t, func(o *Options) {
				if account.change != nil {
					account.change(o)
				}
			})
			for i, s := range account.steps {
				before := z.Users()
				signIn := s.run(t, z)
				if signIn.Outcome != OutcomeSignedIn || signIn.User == 0 ||
					signIn.Created != (len(z.Users()) > len(before)) {
					t.Fatalf("step %d: %+v", i+1, signIn)
				}
				if got := z.fieldsOf(signIn); s.want != "" && got != s.want {
					t.Errorf("step %d: the account has\n%s, want\n%s", i+1, got, s.want)
				}
				if got := strings.Join(signIn.Notes, "; "); (s.want != "" || s.notes != "") &&
					(!strings.Contains(got, s.notes) || s.notes == "" && got != "") {
					t.Errorf("step %d: notes %q, want %q", i+1, got, s.notes)
				}
			}
		})
	}
}

// TestChanges checks the differences field by field.
func TestChanges(t *testing.T) {
	z := start(t)
	first := step{
		claims: map[string]any{"tags": []string{"vip"}, "user_fields": map[string]any{"plan": "gold"}},
	}.run(t, z)
	want := "[{email  ada@example.com} {name  Ada Lovelace} {role  end_user} {tags  vip} {user_fields.plan  gold}]"
	if got := fmt.Sprint(first.Changes); got != want || !first.Created {
		t.Errorf("the first: %s\nwant %s", got, want)
	}
	second := step{
		claims: map[string]any{"name": "Ada King", "tags": []string{}, "user_fields": map[string]any{"plan": nil}},
	}.run(t, z)
	want = "[{name Ada Lovelace Ada King} {tags vip } {user_fields.plan gold }]"
	if got := fmt.Sprint(second.Changes); got != want || second.Created || second.User != first.User {
		t.Errorf("the second: %s\nwant %s", got, want)
	}
	if again := (step{claims: map[string]any{"name": "Ada King"}}).run(t, z); len(again.Changes) != 0 {
		t.Errorf("nothing new: %v", again.Changes)
	}
	// A caller can't change the account's users through the returned copies.
	z.Users()[0].UserFields["plan"], z.Users()[0].Name = "x", "y"
	if got := z.fieldsOf(second); got != "email=ada@example.com name=Ada King role=end_user" {
		t.Error(got)
	}
}

// TestRefusedSignInChangesNothing checks that a refused token doesn't create or change a user.
func TestRefusedSignInChangesNothing(t *testing.T) {
	z := start(t)
	for _, claims := range []map[string]any{{"phone": 7}, {"iat": 1}, {"role": "agent"}} {
		if signIn := (step{claims: claims}).run(t, z); signIn.Outcome != OutcomeRefused || signIn.User != 0 ||
			signIn.Changes != nil {
			t.Errorf("%v: %+v", claims, signIn)
		}
	}
	if len(z.Users()) != 0 {
		t.Errorf("users %v", z.Users())
	}
}

func TestUsersAreBounded(t *testing.T) {
	var u users
	for i := range maxUsers + 2 {
		u.signIn(claims{"email": fmt.Sprintf("%d@example.com", i), "name": "N"}, Configuration{}, false, &SignIn{})
	}
	all := u.all()
	if len(all) != maxUsers || all[0].ID != maxUsers+2 || all[maxUsers-1].ID != 3 {
		t.Errorf("%d kept, from %d to %d", len(all), all[len(all)-1].ID, all[0].ID)
	}
}
