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

// probeCommand sends requests to a running service that it must grant, and requests that it must
// refuse. The exit codes are 0 if every check succeeds, 1 if a check fails, 2 if the command line
// is at fault, and 3 if the service granted what it must refuse.
type probeCommand struct {
	Configuration string `required:"" placeholder:"NAME" help:"The configuration to sign for."`
	Brand         string `placeholder:"ID" help:"Zendesk's brand_id. Default: the configuration's default brand."`
	Email         string `default:"probe@deskmint.invalid" help:"The probe user's address; a grant must cover it."`
	Name          string `default:"Deskmint probe" help:"The probe user's name."`
	Role          string `placeholder:"ROLE" enum:",end_user,agent,admin" default:"" help:"end_user, agent or admin."`
	ClientIP      string `placeholder:"ADDRESS" help:"The browser's address, if the configuration limits addresses."`
	ValidateOnly  bool   `help:"Sign nothing: check the sign-in and that the secret is held, and inspect no token."`
	JSON          bool   `help:"Print the results as JSON."`

	RefusedConfiguration []string `placeholder:"NAME" help:"A configuration to be refused. Repeatable."`
	RefusedRole          []string `placeholder:"ROLE" help:"A role to be refused. Repeatable."`

	clientFlags
}

// probeResult is the result of one check. Scripts read its JSON, so keys may be added but never
// changed or removed.
type probeResult struct {
	Check   string `json:"check"`
	OK      bool   `json:"ok"`
	Granted bool   `json:"granted,omitempty"` // the service granted what it must refuse
	Detail  string `json:"detail"`
	Millis  int64  `json:"took_ms"`
}

// clockLimit is how far the clocks of the service and this machine may differ. It is half of what
// Zendesk allows.
const clockLimit = 90 * time.Second

// Help returns the text that kong adds to the command's help.
func (probeCommand) Help() string {
	return "Exit codes: 0 all as it should be, 1 a check failed, 2 the command line is at fault, 3 something was " +
		"granted that must be refused."
}

// Run prints a line for each check. The token stays in this process.
func (c probeCommand) Run(ctx context.Context, std streams) error {
	if err := c.validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout) // of all checks together
	defer cancel()
	results := c.granted(ctx)
	results = append(results, c.refused(ctx, "refused without a credential", false, c.request(), codes.Unauthenticated))
	for _, name := range c.RefusedConfiguration {
		request := c.request()
		request.Configuration = resource(name)
		results = append(results, c.refused(ctx, "refused at "+resource(name), true, request, codes.PermissionDenied))
	}
	for _, role := range c.RefusedRole {
		request := c.request()
		request.User.Role = roleOf(role)
		results = append(results, c.refused(ctx, "refused the role "+role, true, request, codes.PermissionDenied))
	}
	if err := c.print(std, results); err != nil {
		return err
	}
	return probeVerdict(results)
}

// validate returns an error if the command line is at fault. It sends no request.
func (c probeCommand) validate() error {
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

func (c probeCommand) request() *pb.MintTokenRequest {
	return &pb.MintTokenRequest{
		Configuration: resource(c.Configuration), BrandId: c.Brand, ClientIp: c.ClientIP,
		User: &pb.User{Email: c.Email, EmailVerified: true, Name: c.Name, Role: roleOf(c.Role)},
	}
}

// granted mints a token and inspects it. Only a real token proves that the secret can sign. A
// request that is only validated would succeed with a key that can't sign.
func (c probeCommand) granted(ctx context.Context) []probeResult {
	var minted *pb.MintTokenResponse
	request := c.request()
	request.ValidateOnly = c.ValidateOnly
	mint := timed("mint at "+request.GetConfiguration(), func() (string, error) {
		err := c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) (err error) {
			minted, err = client.MintToken(ctx, request)
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
			return "", fmt.Errorf("the service's clock and this machine's differ by %s: correct the wrong one; "+
				"Zendesk allows 3 minutes", off.Abs().Round(time.Second))
		}
		return fmt.Sprintf("signed with version %d", minted.GetSecretVersion()), nil
	})
	if !mint.OK || c.ValidateOnly {
		return []probeResult{mint}
	}
	return []probeResult{mint, timed("inspect the token", func() (string, error) { return c.inspect(ctx, minted) })}
}

func (c probeCommand) inspect(ctx context.Context, minted *pb.MintTokenResponse) (string, error) {
	var verdict *pb.InspectTokenResponse
	err := c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) (err error) {
		verdict, err = client.InspectToken(ctx, &pb.InspectTokenRequest{
			Configuration: resource(c.Configuration),
			Token:         minted.GetToken(),
		})
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
		return "", fmt.Errorf("it isn't acceptable to Zendesk: %s", strings.Join(problems, "; "))
	}
	if verdict.GetSecretVersion() != minted.GetSecretVersion() {
		return "", fmt.Errorf("it is signed with version %d, but the response said %d", verdict.GetSecretVersion(),
			minted.GetSecretVersion())
	}
	return "acceptable until " + verdict.GetExpireTime().AsTime().Format("15:04:05 MST"), nil
}

// refused sends a request that the service must refuse. The request is only validated, so there is
// no token if the service grants it. An error other than want fails the check, because it proves
// nothing.
func (c probeCommand) refused(
	ctx context.Context, check string, authenticated bool, request *pb.MintTokenRequest, want codes.Code,
) probeResult {
	request.ValidateOnly = true
	granted, reason := false, ""
	result := timed(check, func() (string, error) {
		rpc := func(ctx context.Context, client pb.TokenServiceClient) error {
			_, err := client.MintToken(ctx, request)
			granted = err == nil
			if status.Code(err) == want {
				reason = refusalOf(err)
				return nil
			}
			return err
		}
		call := c.call
		if !authenticated {
			call = func(ctx context.Context, rpc func(context.Context, pb.TokenServiceClient) error) error {
				return c.connect(ctx, false, rpc)
			}
		}
		err := call(ctx, rpc)
		switch {
		case granted:
			return "", errors.New("GRANTED what must be refused: such a request can sign people in; remove the " +
				"grant now")
		case err != nil:
			return "", fmt.Errorf("it was neither granted nor refused as expected: %w", err)
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

func timed(check string, do func() (string, error)) probeResult {
	began := time.Now()
	detail, err := do()
	if err != nil {
		detail = cmp.Or(err.Error(), "failed")
	}
	return probeResult{
		Check:  check,
		OK:     err == nil,
		Detail: errtext.Redact(detail),
		Millis: time.Since(began).Milliseconds(),
	}
}

func (c probeCommand) print(std streams, results []probeResult) error {
	if c.JSON {
		encoder := json.NewEncoder(std.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			OK     bool          `json:"ok"`
			Checks []probeResult `json:"checks"`
		}{probeVerdict(results) == nil, results})
	}
	for _, r := range results {
		word := "ok"
		if !r.OK {
			word = "FAILED"
		}
		if _, err := fmt.Fprintf(std.out, "%s: %s: %s (%d ms)\n", word, r.Check,
			strings.ReplaceAll(r.Detail, "\n", ";"), r.Millis); err != nil {
			return err
		}
	}
	return nil
}

// probeVerdict returns the error for the exit code, or nil if every check succeeded. A wrong grant
// has precedence over a failure.
func probeVerdict(results []probeResult) error {
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
