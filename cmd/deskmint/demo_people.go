package main

import (
	"net/http"
	"strings"
)

// person is somebody whom the demo's app has signed in. The claims are the app's
// profile of them, as the API has it.
type person struct {
	Name, Email string
	Role        string // as the API has it; empty: left out
	About       string
	Claims      map[string]any
}

func demoPeople() []person {
	return []person{
		{Name: "Ana Customer", Email: "ana@customer.example", About: "customer", Claims: map[string]any{
			"externalId": "shop-1001", "phone": "+15551234567", "organizations": []string{"Ana and Daughters"},
			"tags": values("newsletter"),
		}},
		{Name: "Bao Customer", Email: "bao@customer.example", Role: "ROLE_END_USER", About: "customer, with the role in the token", Claims: map[string]any{
			"externalId": "shop-1002", "tags": values("vip", "beta"), "userFields": map[string]any{"plan": "gold", "seats": 3},
		}},
		{Name: "Chidi Agent", Email: "chidi@acme.example", Role: "ROLE_AGENT", About: "agent", Claims: map[string]any{
			"externalId": "staff-7", "localeId": "1",
		}},
		{Name: "Dana Admin", Email: "dana@acme.example", Role: "ROLE_ADMIN", About: "administrator"},
	}
}

func values(tags ...string) map[string]any { return map[string]any{"values": tags} }

// userOf is the `user` of a request: the person's profile, with what the form
// changes of it.
func userOf(p person, r *http.Request) map[string]any {
	user := map[string]any{"email": p.Email, "emailVerified": true, "name": p.Name}
	if p.Role != "" {
		user["role"] = p.Role
	}
	if r.FormValue("profile") == "none" {
		return user
	}
	for name, value := range p.Claims {
		user[name] = value
	}
	for field, name := range map[string]string{"external_id": "externalId", "phone": "phone"} {
		if value := strings.TrimSpace(r.FormValue(field)); value != "" {
			user[name] = value
		}
	}
	if organizations := list(r.FormValue("organizations")); len(organizations) > 0 {
		user["organizations"] = organizations
	}
	switch tags := strings.TrimSpace(r.FormValue("tags")); tags {
	case "":
	case "-":
		user["tags"] = values()
	default:
		user["tags"] = values(list(tags)...)
	}
	if fields := fieldsOf(r.FormValue("user_fields")); len(fields) > 0 {
		user["userFields"] = fields
	}
	return user
}

func list(text string) []string {
	var all []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// fieldsOf reads key=value, key=value. Without a value the field is cleared.
func fieldsOf(text string) map[string]any {
	all := map[string]any{}
	for _, part := range list(text) {
		key, value, _ := strings.Cut(part, "=")
		if key = strings.TrimSpace(key); key == "" {
			continue
		}
		all[key] = nil
		if value = strings.TrimSpace(value); value != "" {
			all[key] = value
		}
	}
	return all
}
