package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// probeCommand asks a running service for what must be granted, and for what must be
// refused. Its exit codes: 0 all as it should be, 1 something failed, 2 the command line is
// at fault, 3 something was granted that must be refused.
type probeCommand struct {
	Configuration        string   `required:"" placeholder:"NAME" help:"The configuration to sign for."`
	Brand                string   `placeholder:"ID" help:"Zendesk's brand_id. Default: the configuration's default brand."`
	Email                string   `default:"probe@deskmint.invalid" placeholder:"ADDRESS" help:"The probe person's address; the caller's grant must cover it. Default: ${default}."`
	Name                 string   `default:"Deskmint probe" help:"The probe person's name."`
	Role                 string   `placeholder:"ROLE" enum:",end_user,agent,admin" default:"" help:"end_user, agent or admin. Default: left out."`
	ClientIP             string   `placeholder:"ADDRESS" help:"The browser's address, for a configuration that is limited to ranges."`
	ValidateOnly         bool     `help:"Make no token: check all that a sign-in checks, and that the secret is held; skip the inspection."`
	RefusedConfiguration []string `placeholder:"NAME" help:"A configuration that the caller must be refused. Repeatable."`
	RefusedRole          []string `placeholder:"ROLE" help:"A role (end_user, agent, admin) that the caller must be refused. Repeatable."`
	JSON                 bool     `help:"Print the results as JSON."`
	clientFlags
}

// probed is the result of one check. Its JSON is for scripts: keys are only ever added.
type probed struct {
	Check   string `json:"check"`
	OK      bool   `json:"ok"`
	Granted bool   `json:"granted,omitempty"` // what must be refused
	Detail  string `json:"detail"`
	Millis  int64  `json:"took_ms"`
}

// clockLimit is from where on the clocks of service and probe are worth a failure:
// half of what Zendesk allows for.
const clockLimit = 90 * time.Second

// Help is for kong.
func (probeCommand) Help() string {
	return "Exit codes: 0 all as it should be, 1 a check failed, 2 the command line is at fault, 3 something was granted that must be refused."
}

// Run prints a line for each check. The token stays in this process.
func (c probeCommand) Run(ctx context.Context, std streams) error {
	if err := c.usable(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout) // for all of it
	defer cancel()
	results := c.granted(ctx)
	results = append(results, c.refused(ctx, "refused without a credential", false, c.ask(), codes.Unauthenticated))
	for _, name := range c.RefusedConfiguration {
		ask := c.ask()
		ask.Configuration = resource(name)
		results = append(results, c.refused(ctx, "refused at "+resource(name), true, ask, codes.PermissionDenied))
	}
	for _, role := range c.RefusedRole {
		ask := c.ask()
		ask.User.Role = roleOf(role)
		results = append(results, c.refused(ctx, "refused the role "+role, true, ask, codes.PermissionDenied))
	}
	if err := c.print(std, results); err != nil {
		return err
	}
	return probeVerdict(results)
}

// usable finds what no service needs to be asked for.
func (c probeCommand) usable() error {
	for _, role := range c.RefusedRole {
		if roleOf(role) == pb.Role_ROLE_UNSPECIFIED {
			return usage("--refused-role must be end_user, agent or admin")
		}
	}
	if c.Cert == "" {
		if _, err := c.apiKey(); err != nil {
			return usage("%v", err)
		}
	}
	if _, err := c.transport(true); err != nil {
		return usage("%v", err)
	}
	return nil
}

func resource(name string) string {
	return "configurations/" + strings.TrimPrefix(name, "configurations/")
}

func roleOf(name string) pb.Role { return pb.Role(pb.Role_value["ROLE_"+strings.ToUpper(name)]) }

func (c probeCommand) ask() *pb.MintTokenRequest {
	return &pb.MintTokenRequest{
		Configuration: resource(c.Configuration), BrandId: c.Brand, ClientIp: c.ClientIP,
		User: &pb.User{Email: c.Email, EmailVerified: true, Name: c.Name, Role: roleOf(c.Role)},
	}
}

// granted mints and inspects. A mint is the one check that proves the secret: what is
// only validated would pass with a key that doesn't sign.
func (c probeCommand) granted(ctx context.Context) []probed {
	var minted *pb.MintTokenResponse
	ask := c.ask()
	ask.ValidateOnly = c.ValidateOnly
	mint := timed("mint at "+ask.GetConfiguration(), func() (string, error) {
		err := c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) (err error) {
			minted, err = client.MintToken(ctx, ask)
			return err
		})
		switch {
		case err != nil:
			return "", err
		case c.ValidateOnly:
			return fmt.Sprintf("would be signed with version %d; no token was made", minted.GetSecretVersion()), nil
		}
		off := time.Since(minted.GetIssueTime().AsTime())
		if off.Abs() > clockLimit {
			return "", fmt.Errorf("the service's clock and this machine's differ by %s: set whichever is wrong; Zendesk allows 3 minutes", off.Abs().Round(time.Second))
		}
		return fmt.Sprintf("signed with version %d", minted.GetSecretVersion()), nil
	})
	if !mint.OK || c.ValidateOnly {
		return []probed{mint}
	}
	return []probed{mint, timed("inspect the token", func() (string, error) { return c.inspect(ctx, minted) })}
}

func (c probeCommand) inspect(ctx context.Context, minted *pb.MintTokenResponse) (string, error) {
	var verdict *pb.InspectTokenResponse
	err := c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) (err error) {
		verdict, err = client.InspectToken(ctx, &pb.InspectTokenRequest{Configuration: resource(c.Configuration), Token: minted.GetToken()})
		return err
	})
	if err != nil {
		return "", err
	}
	if !verdict.GetAcceptable() {
		var problems []string
		for _, p := range verdict.GetProblems() {
			problems = append(problems, strings.TrimSpace(p.GetName()+" "+p.GetDescription()))
		}
		return "", fmt.Errorf("Zendesk wouldn't take it: %s", strings.Join(problems, "; ")) //nolint:staticcheck // a name begins the sentence
	}
	if verdict.GetSecretVersion() != minted.GetSecretVersion() {
		return "", fmt.Errorf("it is signed with version %d, and the answer said %d", verdict.GetSecretVersion(), minted.GetSecretVersion())
	}
	return "acceptable until " + verdict.GetExpireTime().AsTime().Format("15:04:05 MST"), nil
}

// refused asks for what must be refused, without having it signed: should it be granted
// all the same, there is no token. Any other failure proves nothing.
func (c probeCommand) refused(ctx context.Context, check string, known bool, ask *pb.MintTokenRequest, want codes.Code) probed {
	ask.ValidateOnly = true
	granted, reason := false, ""
	result := timed(check, func() (string, error) {
		rpc := func(ctx context.Context, client pb.TokenServiceClient) error {
			_, err := client.MintToken(ctx, ask)
			granted = err == nil
			if status.Code(err) == want {
				reason = refusalOf(err)
				return nil
			}
			return err
		}
		call := c.call
		if !known {
			call = func(ctx context.Context, rpc func(context.Context, pb.TokenServiceClient) error) error {
				return c.connect(ctx, false, rpc)
			}
		}
		err := call(ctx, rpc)
		switch {
		case granted:
			return "", errors.New("GRANTED what must be refused: whoever asks like this can sign people in; take the grant away now")
		case err != nil:
			return "", fmt.Errorf("it was neither granted nor refused as it must be: %w", err)
		}
		return reason, nil
	})
	result.Granted = granted
	return result
}

func refusalOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return status.Code(err).String()
}

func timed(check string, do func() (string, error)) probed {
	began := time.Now()
	detail, err := do()
	if err != nil {
		detail = cmp.Or(err.Error(), "failed")
	}
	return probed{Check: check, OK: err == nil, Detail: errtext.Redact(detail), Millis: time.Since(began).Milliseconds()}
}

func (c probeCommand) print(std streams, results []probed) error {
	if c.JSON {
		encoder := json.NewEncoder(std.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			OK     bool     `json:"ok"`
			Checks []probed `json:"checks"`
		}{probeVerdict(results) == nil, results})
	}
	for _, r := range results {
		word := "ok"
		if !r.OK {
			word = "FAILED"
		}
		if _, err := fmt.Fprintf(std.out, "%s: %s: %s (%d ms)\n", word, r.Check, strings.ReplaceAll(r.Detail, "\n", ";"), r.Millis); err != nil {
			return err
		}
	}
	return nil
}

// probeVerdict is nil where all is as it should be; a grant that must not be weighs most.
func probeVerdict(results []probed) error {
	code := 0
	for _, r := range results {
		switch {
		case r.Granted:
			code = codeNotable
		case !r.OK:
			code = max(code, codeFailed)
		}
	}
	if code == 0 {
		return nil
	}
	return &exitError{code: code}
}
