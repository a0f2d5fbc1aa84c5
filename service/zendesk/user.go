package zendesk

// Role is a person's role at Zendesk, as in the claim. If it is empty, the token has no such claim.
type Role string

// The roles that a token can give.
const (
	RoleUnset   Role = ""
	RoleEndUser Role = "end_user"
	RoleAgent   Role = "agent"
	RoleAdmin   Role = "admin"
)

// Audience returns the audience of people with this role. It is empty if there is no such role.
func (r Role) Audience() Audience {
	switch r {
	case RoleEndUser:
		return EndUser
	case RoleAgent, RoleAdmin:
		return TeamMember
	}
	return ""
}

// User describes the person to sign in. A zero field is one that the caller has left out.
type User struct {
	Email           string
	EmailVerified   bool
	Name            string
	ExternalID      string
	Role            Role
	CustomRoleID    int64
	LocaleID        int64
	Organizations   []string
	OrganizationIDs []string
	Phone           string
	// Tags replace all tags of the person. nil keeps them, and an empty slice that isn't nil
	// removes them.
	Tags           []string
	RemotePhotoURL string
	// UserFields contains values of type string, float64 (the numbers of JSON), bool, or []any for a
	// list of strings. nil and an empty list remove the stored value.
	UserFields map[string]any
}

// SignIn is a request to sign in a person.
type SignIn struct {
	User     User
	ReturnTo string
	ClientIP string
	// ShowsRefusal says that the person would see a refusal as a page.
	ShowsRefusal bool
}

// Violation is a field with an invalid value, and a description that follows the field's name.
// Field is its path in the API's request: `user.tags.values[2]`.
type Violation struct {
	Field       string
	Description string
}

// InvalidError contains every fault of a request.
type InvalidError struct{ Violations []Violation }

func (e *InvalidError) Error() string {
	s := "invalid:"
	for _, v := range e.Violations {
		s += " " + v.Field + " " + v.Description + ";"
	}
	return s
}

// OutOfRangeError reports that the person's browser is outside the configuration's IP ranges.
// Zendesk wouldn't offer this way to sign in there.
type OutOfRangeError struct{}

func (*OutOfRangeError) Error() string { return "client_ip is outside the configuration's ip_ranges" }
