package zendesk

// Role is a person's role at Zendesk, as the claim spells it. Empty: the claim is
// left out.
type Role string

// The roles that a token can give.
const (
	RoleUnset   Role = ""
	RoleEndUser Role = "end_user"
	RoleAgent   Role = "agent"
	RoleAdmin   Role = "admin"
)

func (r Role) audience() Audience {
	switch r {
	case RoleEndUser:
		return EndUser
	case RoleAgent, RoleAdmin:
		return TeamMember
	}
	return ""
}

// User is the person being signed in, as the caller describes them. A zero field
// is one that the caller left out.
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
	// Tags replace all that the person has; nil leaves them, and an empty slice
	// that isn't nil removes them.
	Tags           []string
	RemotePhotoURL string
	// UserFields hold string, float64 (as JSON has numbers), bool, or nil to remove
	// the stored value.
	UserFields map[string]any
}

// SignIn is one request to sign a person in.
type SignIn struct {
	User     User
	ReturnTo string
	ClientIP string
}

// Fault is one field at fault, with a rule in words that follow the field's name.
// Fields are named by their path in the API's request: `user.tags.values[2]`.
type Fault struct {
	Field       string
	Description string
}

// InvalidError holds every fault of a request.
type InvalidError struct{ Faults []Fault }

func (e *InvalidError) Error() string {
	s := "invalid:"
	for _, f := range e.Faults {
		s += " " + f.Field + " " + f.Description + ";"
	}
	return s
}

// OutOfRangeError says that the person's browser is outside the configuration's
// IP ranges, where Zendesk wouldn't offer this way to sign in.
type OutOfRangeError struct{}

func (*OutOfRangeError) Error() string { return "client_ip is outside the configuration's ip_ranges" }
