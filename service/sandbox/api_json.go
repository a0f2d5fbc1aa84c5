package sandbox

import (
	"time"
)

// The types of this file are the JSON of the API. Lists and strings that are empty are sent, too.

type accountJSON struct {
	Brands         []brandJSON         `json:"brands"`
	Configurations []configurationJSON `json:"configurations"`
}

type brandJSON struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Subdomain string `json:"subdomain"`
	Endpoint  string `json:"endpoint"`
}

type configurationJSON struct {
	Name         string   `json:"name"`
	Audiences    []string `json:"audiences"`
	Brands       []string `json:"brands"` // subdomains
	RemoteLogin  string   `json:"remote_login"`
	RemoteLogout string   `json:"remote_logout"`
}

type signInJSON struct {
	ID            int            `json:"id"`
	Time          time.Time      `json:"time"`
	Brand         string         `json:"brand"` // subdomain
	BrandID       string         `json:"brand_id"`
	Configuration string         `json:"configuration"`
	Outcome       Outcome        `json:"outcome"`
	Reason        Reason         `json:"reason"`
	Message       string         `json:"message"`
	Detail        string         `json:"detail"`
	ReturnTo      string         `json:"return_to"`
	JTI           string         `json:"jti"`
	Claims        map[string]any `json:"claims"`
	UserID        int            `json:"user_id"`
	Created       bool           `json:"created"`
	Changes       []changeJSON   `json:"changes"`
	Notes         []string       `json:"notes"`
	Undocumented  []string       `json:"undocumented_claims"`
}

type changeJSON struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func (s *Sandbox) signInJSON(signIn SignIn) signInJSON {
	out := signInJSON{
		ID: signIn.ID, Time: signIn.Time.UTC(), BrandID: signIn.Brand, Configuration: signIn.Configuration,
		Outcome: signIn.Outcome, Reason: signIn.Reason, Message: signIn.Message, Detail: signIn.Detail,
		ReturnTo: signIn.ReturnTo, JTI: signIn.JTI, Claims: signIn.Claims, UserID: signIn.User,
		Created: signIn.Created, Changes: []changeJSON{},
		Notes: list(signIn.Notes), Undocumented: list(signIn.Undocumented),
	}
	for _, brand := range s.options.Brands {
		if brand.ID == signIn.Brand {
			out.Brand = brand.Subdomain
		}
	}
	for _, c := range signIn.Changes {
		out.Changes = append(out.Changes, changeJSON(c))
	}
	return out
}

type userJSON struct {
	ID            int               `json:"id"`
	Email         string            `json:"email"`
	Name          string            `json:"name"`
	ExternalID    string            `json:"external_id"`
	Role          string            `json:"role"`
	CustomRoleID  string            `json:"custom_role_id"`
	LocaleID      string            `json:"locale_id"`
	Phone         string            `json:"phone"`
	PhotoURL      string            `json:"remote_photo_url"`
	Organizations []string          `json:"organizations"`
	Tags          []string          `json:"tags"`
	UserFields    map[string]string `json:"user_fields"`
}

func newUserJSON(user User) userJSON {
	out := userJSON(user)
	out.Organizations, out.Tags = list(user.Organizations), list(user.Tags)
	if out.UserFields == nil {
		out.UserFields = map[string]string{}
	}
	return out
}

type faultsJSON struct {
	ClockOffset int64    `json:"clock_offset_seconds"`
	RateLimited bool     `json:"rate_limited"`
	Blocked     []string `json:"blocked"`
	Unassigned  []string `json:"unassigned"`
}

func newFaultsJSON(f Faults) faultsJSON {
	return faultsJSON{
		int64(f.ClockOffset / time.Second), f.RateLimited, list(f.Blocked), list(f.Unassigned),
	}
}

// list returns the strings, so that none is an empty list and not null.
func list(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}
