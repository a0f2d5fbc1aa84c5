package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/caller"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/zendesk"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// signInRequest is what the three sign-in requests share.
type signInRequest interface {
	proto.Message
	GetConfiguration() string
	GetBrandId() string
	GetUser() *pb.User
	GetReturnTo() string
	GetClientIp() string
	GetSecretVersion() uint32
	GetAttempt() string
	GetValidateOnly() bool
}

func (s *Service) signInOf(r signInRequest) (signin.Request, error) {
	violations, err := s.violations(r)
	if err != nil {
		return signin.Request{}, err
	}
	user := userOf(r.GetUser())
	if caller.LooksLikeCredential(user.ExternalID) { // it would be signed, and reach the browser and Zendesk
		violations = append(violations, zendesk.Violation{
			Field: "user.external_id", Description: "is an API key or a JWT: send the person's id",
		})
	}
	return signin.Request{
		Configuration: nameOf(r.GetConfiguration()),
		Brand:         r.GetBrandId(),
		SignIn: zendesk.SignIn{
			User: user, ReturnTo: r.GetReturnTo(), ClientIP: r.GetClientIp(), ShowsRefusal: wantsPage(r),
		},
		Version:      secrets.Version(r.GetSecretVersion()),
		Attempt:      r.GetAttempt(),
		ValidateOnly: r.GetValidateOnly(),
		Violations:   violations,
	}, nil
}

// violations checks a message by the rules in its .proto file.
func (s *Service) violations(m proto.Message) ([]zendesk.Violation, error) {
	err := s.validator.Validate(m)
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &invalid):
		return nil, fmt.Errorf("validating: %w", err)
	}
	var violations []zendesk.Violation
	for _, v := range invalid.Violations {
		violations = append(violations, zendesk.Violation{
			Field:       protovalidate.FieldPathString(v.Proto.GetField()),
			Description: v.Proto.GetMessage(),
		})
	}
	return violations, nil
}

// valid returns the violations of a message as an error.
func (s *Service) valid(m proto.Message) error {
	violations, err := s.violations(m)
	if err == nil && len(violations) > 0 {
		err = &zendesk.InvalidError{Violations: violations}
	}
	return err
}

func userOf(u *pb.User) zendesk.User {
	user := zendesk.User{
		Email:           u.GetEmail(),
		EmailVerified:   u.GetEmailVerified(),
		Name:            u.GetName(),
		ExternalID:      u.GetExternalId(),
		Role:            roleOf(u.GetRole()),
		CustomRoleID:    u.GetCustomRoleId(),
		LocaleID:        u.GetLocaleId(),
		Organizations:   u.GetOrganizations(),
		OrganizationIDs: u.GetOrganizationIds(),
		Phone:           u.GetPhone(),
		RemotePhotoURL:  u.GetRemotePhotoUrl(),
	}
	if u.GetTags() != nil {
		user.Tags = append([]string{}, u.GetTags().GetValues()...)
	}
	if len(u.GetUserFields()) > 0 {
		user.UserFields = make(map[string]any, len(u.GetUserFields()))
		for key, value := range u.GetUserFields() {
			user.UserFields[key] = fieldOf(value)
		}
	}
	return user
}

// fieldOf keeps the kind of a value. Protobuf allows a value without a kind, which JSON can't
// express. It is not treated as null, because null deletes data.
func fieldOf(v *structpb.Value) any {
	switch kind := v.GetKind().(type) {
	case *structpb.Value_NullValue:
		return nil
	case *structpb.Value_BoolValue:
		return kind.BoolValue
	case *structpb.Value_NumberValue:
		return kind.NumberValue
	case *structpb.Value_StringValue:
		return kind.StringValue
	case *structpb.Value_ListValue:
		list := make([]any, len(kind.ListValue.GetValues()))
		for i, item := range kind.ListValue.GetValues() {
			list[i] = item // no type that a list can hold, which Check says
			if s, ok := item.GetKind().(*structpb.Value_StringValue); ok {
				list[i] = s.StringValue
			}
		}
		return list
	}
	return v // no type that a user field can have, which Check says
}

func roleOf(r pb.Role) zendesk.Role {
	switch r {
	case pb.Role_ROLE_UNSPECIFIED:
		return zendesk.RoleUnset
	case pb.Role_ROLE_END_USER:
		return zendesk.RoleEndUser
	case pb.Role_ROLE_AGENT:
		return zendesk.RoleAgent
	case pb.Role_ROLE_ADMIN:
		return zendesk.RoleAdmin
	}
	return "unknown" // not a role of ours: no grant has it, and Check refuses it
}

// formOf returns what a browser has to post, or nil if nothing was signed.
func formOf(d signin.Decision) *pb.SignInForm {
	if d.Token.Value == "" {
		return nil
	}
	fields := map[string]string{"jwt": d.Token.Value}
	if to := d.Checked.ReturnTo.URL; to != "" {
		fields["return_to"] = to
	}
	return &pb.SignInForm{Action: d.Brand.Action, Fields: fields, FormActionSources: d.Brand.FormActionSources}
}

func warningsOf(violations []zendesk.Violation) (warnings []*pb.Warning) {
	for _, w := range violations {
		warnings = append(warnings, &pb.Warning{Field: w.Field, Description: w.Description})
	}
	return warnings
}

// times returns the times of a token, or nil if nothing was signed.
func times(t zendesk.Token) (issued, expires *timestamppb.Timestamp) {
	if t.Value == "" {
		return nil, nil
	}
	return timestamppb.New(t.IssueTime), timestamppb.New(t.ExpireTime)
}

// InspectTokenResponse returns the answer of the RPC InspectToken to the result of an inspection.
func InspectTokenResponse(result inspect.Result) *pb.InspectTokenResponse {
	r := &pb.InspectTokenResponse{
		Acceptable: len(result.Problems) == 0, SecretVersion: uint32(result.Version),
		Problems: problemsOf(result.Problems), Warnings: problemsOf(result.Warnings),
		ConfigurationDifferences: problemsOf(result.Differences),
	}
	if result.Claims != nil {
		r.Claims = &structpb.Struct{Fields: make(map[string]*structpb.Value, len(result.Claims))}
		for name, raw := range result.Claims {
			v := &structpb.Value{}
			if tooDeep(raw) || v.UnmarshalJSON(raw) != nil {
				v = structpb.NewStringValue(string(raw)) // JSON that clients can't read, as text
			}
			r.Claims.Fields[name] = v
		}
	}
	if !result.IssueTime.IsZero() {
		r.IssueTime = timestamppb.New(result.IssueTime)
		r.ExpireTime = timestamppb.New(result.IssueTime.Add(zendesk.Lifetime))
	}
	return r
}

func problemsOf(problems []inspect.Problem) (all []*pb.TokenProblem) {
	for _, p := range problems {
		all = append(all, &pb.TokenProblem{Part: partOf(p.Part), Name: p.Name, Description: p.Description})
	}
	return all
}

// maxDepth limits how deeply the claims in an answer are nested, with the payload as the first
// level. Each level takes three levels of protobuf messages, and many clients read at most 100.
const maxDepth = 32

// tooDeep reports whether the value of a claim is nested too deeply.
func tooDeep(raw json.RawMessage) bool {
	depth := 1
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		token, err := d.Token()
		switch {
		case err != nil:
			return false // the end
		case token == json.Delim('{'), token == json.Delim('['):
			depth++
		case token == json.Delim('}'), token == json.Delim(']'):
			depth--
		}
		if depth > maxDepth {
			return true
		}
	}
}

func partOf(p inspect.Part) pb.TokenPart {
	switch p {
	case inspect.PartForm:
		return pb.TokenPart_TOKEN_PART_FORM
	case inspect.PartHeader:
		return pb.TokenPart_TOKEN_PART_HEADER
	case inspect.PartSignature:
		return pb.TokenPart_TOKEN_PART_SIGNATURE
	case inspect.PartIssuedAt:
		return pb.TokenPart_TOKEN_PART_ISSUED_AT
	case inspect.PartClaims:
		return pb.TokenPart_TOKEN_PART_CLAIMS
	}
	return pb.TokenPart_TOKEN_PART_UNSPECIFIED
}

const collection = "configurations/"

// nameOf takes the name out of a resource name that has passed its rule.
func nameOf(resource string) string { return strings.TrimPrefix(resource, collection) }
