package inspect

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/zendesk"
)

// SelfTest creates a token for a person who doesn't exist, with the same code as for a request, and
// inspects it as Zendesk would. The token doesn't leave this function. The person's address is in a
// top-level domain that is reserved for tests (RFC 2606, section 2). The error says what is wrong,
// and contains neither token nor secret.
func SelfTest(ctx context.Context, p *zendesk.Profile, key secrets.Key, now time.Time) error {
	user := zendesk.User{
		Email: "self-test@deskmint.invalid", EmailVerified: true, Name: "Self-test", Role: zendesk.RoleEndUser,
	}
	if !p.Serves(zendesk.EndUser) {
		user.Role = zendesk.RoleAgent
	}
	checked, err := p.CheckUser(user)
	if err != nil {
		return fmt.Errorf("a valid sign-in is refused: %w", err)
	}
	token, err := checked.Sign(ctx, key, now)
	if err != nil {
		return err
	}
	var r Result
	r.inspect(p, token.Value, []secrets.Key{key}, now) // Deskmint made the token, so no claim differs
	if len(r.Problems) == 0 {
		return nil
	}
	whats := make([]string, len(r.Problems))
	for i, problem := range r.Problems {
		whats[i] = strings.TrimSpace(problem.Name + " " + problem.Description)
	}
	all := strings.Join(whats, "; ")
	return fmt.Errorf("Zendesk would not accept the token: %s", all) //nolint:staticcheck // begins with a name
}
