package zendesk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// SelfTest creates a token for a person who doesn't exist, with the same code as for a request, and
// inspects it as Zendesk would. The token doesn't leave this function. The person's address is in a
// top-level domain that is reserved for tests (RFC 2606, section 2). The error says what is wrong,
// and contains neither token nor secret.
func (p *Profile) SelfTest(ctx context.Context, key secrets.Key, now time.Time) error {
	signIn := SignIn{
		User: User{Email: "self-test@deskmint.invalid", EmailVerified: true, Name: "Self-test", Role: RoleEndUser},
	}
	if !p.Serves(EndUser) {
		signIn.User.Role = RoleAgent
	}
	if len(p.ipRanges) > 0 {
		signIn.ClientIP = p.ipRanges[0].Addr().String()
	}
	checked, err := p.Check(p.brands[0], signIn)
	if err != nil {
		return fmt.Errorf("a valid sign-in is refused: %w", err)
	}
	token, err := checked.Sign(ctx, key, now)
	if err != nil {
		return err
	}
	problems := p.Inspect(token.Value, []secrets.Key{key}, now).Problems
	if len(problems) == 0 {
		return nil
	}
	whats := make([]string, len(problems))
	for i, problem := range problems {
		whats[i] = strings.TrimSpace(problem.Name + " " + problem.Description)
	}
	all := strings.Join(whats, "; ")
	return fmt.Errorf("Zendesk would not accept the token: %s", all) //nolint:staticcheck // begins with a name
}
