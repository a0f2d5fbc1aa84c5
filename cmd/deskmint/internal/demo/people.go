package demo

import (
	"net/http"
	"strings"
)

// person is a user of the demo's app. Claims are what the app's profile of the user adds to a
// request, as fields of the API's User message.
type person struct {
	Name, Email string
	Role        string // a value of the API's Role; "": no role is sent
	About       string
	Claims      map[string]any
}

func demoPeople() []person {
	return []person{
		{
			Name: "Ana Customer", Email: "ana@customer.example", About: "customer",
			Claims: map[string]any{
				"externalId": "shop-1001", "phone": "+15551234567", "organizations": []string{"Ana and Daughters"},
				"tags": tags("newsletter"),
			},
		},
		{
			Name: "Bao Customer", Email: "bao@customer.example", Role: "ROLE_END_USER",
			About: "customer, with the role in the token",
			Claims: map[string]any{
				"externalId": "shop-1002", "tags": tags("vip", "beta"),
				"userFields": map[string]any{"plan": "gold", "seats": 3},
			},
		},
		{
			Name: "Chidi Agent", Email: "chidi@acme.example", Role: "ROLE_AGENT", About: "agent",
			Claims: map[string]any{"externalId": "staff-7", "localeId": "1"},
		},
		{Name: "Dana Admin", Email: "dana@acme.example", Role: "ROLE_ADMIN", About: "administrator"},
	}
}

func tags(values ...string) map[string]any { return map[string]any{"values": values} }

// userMessage returns the User message of a request. It is the person's profile, with the changes
// that the form makes.
func userMessage(p person, r *http.Request) map[string]any {
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
	if organizations := splitList(r.FormValue("organizations")); len(organizations) > 0 {
		user["organizations"] = organizations
	}
	switch value := strings.TrimSpace(r.FormValue("tags")); value {
	case "":
	case "-":
		user["tags"] = tags()
	default:
		user["tags"] = tags(splitList(value)...)
	}
	if fields := parseFields(r.FormValue("user_fields")); len(fields) > 0 {
		user["userFields"] = fields
	}
	return user
}

// splitList splits a list at its commas, and drops empty parts.
func splitList(text string) []string {
	var all []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// parseFields parses "key=value, key=value". A field without a value is cleared.
func parseFields(text string) map[string]any {
	all := map[string]any{}
	for _, part := range splitList(text) {
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
