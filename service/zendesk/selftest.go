package zendesk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
)

// SelfTest signs in a person who doesn't exist, by the path that every request takes,
// and inspects the token as Zendesk would. The token stays in this function, and its
// address is under a top-level domain that belongs to nobody (RFC 2606, section 2).
// The error says what is wrong; it holds neither token nor secret.
func (p *Profile) SelfTest(ctx context.Context, key secrets.Key, now time.Time) error {
	ask := SignIn{
		User: User{Email: "self-test@deskmint.invalid", EmailVerified: true, Name: "Self-test", Role: RoleEndUser},
	}
	if !p.Serves(EndUser) {
		ask.User.Role = RoleAgent
	}
	if len(p.ipRanges) > 0 {
		ask.ClientIP = p.ipRanges[0].Addr().String()
	}
	checked, err := p.Check(p.brands[0], ask)
	if err != nil {
		return fmt.Errorf("a sign-in without a fault is refused: %w", err)
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
	return fmt.Errorf("Zendesk wouldn't take the token: %s",
		strings.Join(whats, "; ")) //nolint:staticcheck // a name begins the sentence
}
