package service_test

import (
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

//go:embed testdata/service.yaml
var configuration string

// signInCase is a request and the answer that both transports must give.
type signInCase struct {
	name   string
	caller string // API keys separated by |, or "-" for none; "" means that of the caller everything
	conf   string // "" means acme-customers
	body   string // the JSON request without its configuration
	reason string // "" if a token is signed
	code   codes.Code
	http   int
	field  string // the field of a violation
	info   string // an entry of the metadata of ErrorInfo, as key=value
	claims string // the claims of the token without iat and jti, as JSON in their order
	warned string // the field of a warning
}

const ana = `"email":"ana@customer.example","emailVerified":true,"name":"Ana"`

func user(more string) string { return `"user":{` + ana + more + `}` }

// signInCases returns a case of each decision on a sign-in. Other tests have the refusals that
// don't depend on the request, such as those for the store, the audit log and the limits.
func signInCases() []signInCase {
	const anaClaims = `"email":"ana@customer.example","name":"Ana"`
	denied, invalid := codes.PermissionDenied, codes.InvalidArgument
	return []signInCase{
		// Tokens that are signed.
		{name: "least", body: user(""), claims: anaClaims},
		{name: "address lower-cased",
			body:   `"user":{"email":"Ana@Customer.EXAMPLE","emailVerified":true,"name":"Ana"}`,
			claims: anaClaims},
		{name: "end user", body: user(`,"role":"ROLE_END_USER","localeId":"1"`),
			claims: anaClaims + `,"role":"end_user","locale":1`},
		{name: "staff", conf: "acme-staff",
			body: user(`,"role":"ROLE_AGENT","customRoleId":"42","localeId":"1176","organizationIds":["77"]`) +
				`,"clientIp":"192.0.2.7"`,
			claims: anaClaims + `,"role":"agent","custom_role_id":42,"locale_id":1176,"organization_id":77,` +
				`"exp":IAT+180`},
		{name: "IPv6 in range", conf: "acme-staff",
			body:   user(`,"role":"ROLE_ADMIN"`) + `,"clientIp":"2001:db8::1"`,
			claims: anaClaims + `,"role":"admin","exp":IAT+180`},
		{name: "all claims",
			body: user(`,"externalId":"shop-9","organizations":["Acme","Beta & Söhne"],` +
				`"organizationIds":["a","b"],"phone":"+4930123456","tags":{"values":["vip"]},` +
				`"remotePhotoUrl":"https://acme.com/a.png",` +
				`"userFields":{"plan":"gold","seats":12,"ratio":0.5,"paid":true,"since":null}`),
			claims: anaClaims + `,"external_id":"shop-9","organizations":"Acme,Beta & Söhne",` +
				`"organization_ids":"a,b","phone":"+4930123456","tags":["vip"],` +
				`"remote_photo_url":"https://acme.com/a.png",` +
				`"user_fields":{"paid":true,"plan":"gold","ratio":0.5,"seats":12,"since":null}`},
		{name: "tags cleared", body: user(`,"tags":{}`), claims: anaClaims + `,"tags":[]`},
		{name: "snake_case JSON",
			body: `"user":{"email":"ana@customer.example","email_verified":true,"name":"Ana","external_id":"7"},` +
				`"return_to":"/hc"`,
			claims: anaClaims + `,"external_id":"7"`},
		{name: "another brand", body: user("") + `,"brandId":"360002"`, claims: anaClaims},
		{name: "mapped host", body: user("") + `,"returnTo":"https://help.acme.com/hc/en-us?x=1#y"`, claims: anaClaims},
		{name: "requested version", body: user("") + `,"secretVersion":1`, claims: anaClaims},
		{name: "claim left out with a warning", conf: "acme-both", body: user(`,"phone":"030 123"`),
			claims: anaClaims, warned: "user.phone"},
		{name: "return_to left out with a warning", conf: "acme-both",
			body:   user("") + `,"returnTo":"https://evil.example/"`,
			claims: anaClaims, warned: "return_to"},
		{name: "unverified where allowed", conf: "acme-both", body: `"user":{"email":"a@b.example","name":"A"}`,
			claims: `"email":"a@b.example","name":"A"`},
		{name: "within the grant", caller: "dmk_storefront",
			body: user(`,"externalId":"shop-1","tags":{"values":["vip","beta"]},"userFields":{"plan":"x"}`) +
				`,"returnTo":"https://acme.zendesk.com/hc"`,
			claims: anaClaims + `,"external_id":"shop-1","tags":["vip","beta"],"user_fields":{"plan":"x"}`},

		// Authentication.
		{name: "no key", caller: "-", body: user(""),
			reason: "CALLER_UNAUTHENTICATED", code: codes.Unauthenticated, http: 401, info: "credential=missing"},
		{name: "unknown key", caller: "dmk_other", body: user(""),
			reason: "CALLER_UNAUTHENTICATED", code: codes.Unauthenticated, http: 401, info: "credential=unknown"},
		{name: "two keys", caller: "dmk_everything|dmk_storefront", body: user(""),
			reason: "CALLER_UNAUTHENTICATED", code: codes.Unauthenticated, http: 401, info: "credential=several"},
		{name: "the same key twice", caller: "dmk_everything|dmk_everything", body: user(""),
			reason: "CALLER_UNAUTHENTICATED", code: codes.Unauthenticated, http: 401, info: "credential=several"},

		// Authorization.
		{name: "no grant", caller: "dmk_nobody", body: user(""), reason: "CALLER_NOT_ALLOWED", code: denied, http: 403},
		{name: "configuration of another caller", caller: "dmk_storefront", conf: "acme-staff", body: user(""),
			reason: "CALLER_NOT_ALLOWED", code: denied, http: 403},
		{name: "no such configuration", caller: "dmk_storefront", conf: "acme-nowhere", body: user(""),
			reason: "CALLER_NOT_ALLOWED", code: denied, http: 403},
		{name: "version without stage", caller: "dmk_storefront", body: user("") + `,"secretVersion":1`,
			reason: "CALLER_NOT_ALLOWED", code: denied, http: 403},
		{name: "unknown brand", body: user("") + `,"brandId":"99"`,
			reason: "BRAND_NOT_ALLOWED", code: denied, http: 403, field: "brand_id", info: "field=brand_id"},
		{name: "brand not granted", caller: "dmk_storefront", body: user("") + `,"brandId":"360002"`,
			reason: "BRAND_NOT_ALLOWED", code: denied, http: 403, field: "brand_id"},
		{name: "role not granted", caller: "dmk_storefront", body: user(`,"role":"ROLE_ADMIN"`),
			reason: "ROLE_NOT_ALLOWED", code: denied, http: 403, field: "user.role"},
		{name: "claim not granted", caller: "dmk_storefront", body: user(`,"organizations":["Acme"]`),
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, field: "user.organizations"},
		{name: "value not granted", caller: "dmk_storefront", body: user(`,"tags":{"values":["vip","ceo"]}`),
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, field: "user.tags"},
		{name: "prefix not granted", caller: "dmk_storefront", body: user(`,"externalId":"admin-1"`),
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, field: "user.external_id"},
		{name: "clearing not granted", caller: "dmk_storefront", body: user(`,"tags":{}`),
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, field: "user.tags"},
		{name: "null not granted", caller: "dmk_storefront", body: user(`,"userFields":{"plan":null}`),
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, field: "user.user_fields"},
		{name: "denied domain", caller: "dmk_storefront",
			body:   `"user":{"email":"x@sub.acme.com","emailVerified":true,"name":"X"}`,
			reason: "EMAIL_NOT_ALLOWED", code: denied, http: 403, field: "user.email"},
		{name: "protected person", caller: "dmk_slow",
			body:   `"user":{"email":"CEO@acme.com","emailVerified":true,"name":"X"}`,
			reason: "EMAIL_NOT_ALLOWED", code: denied, http: 403, field: "user.email"},
		{name: "protected person granted", body: `"user":{"email":"ceo@acme.com","emailVerified":true,"name":"C"}`,
			claims: `"email":"ceo@acme.com","name":"C"`},
		{name: "protected external id", caller: "dmk_storefront", body: user(`,"externalId":"shop-chief"`),
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, field: "user.external_id",
			info: "field=user.external_id"},
		{name: "protected external id, another spelling", caller: "dmk_storefront",
			body:   user(`,"externalId":"shop-CH\u0131ef"`),
			reason: "CLAIM_NOT_ALLOWED", code: denied, http: 403, field: "user.external_id"},
		{name: "protected external id granted", body: user(`,"externalId":"shop-chief"`),
			claims: anaClaims + `,"external_id":"shop-chief"`},
		{name: "return_to host not granted", caller: "dmk_storefront",
			body:   user("") + `,"returnTo":"https://help.acme.com/"`,
			reason: "RETURN_TO_NOT_ALLOWED", code: denied, http: 403, field: "return_to"},
		{name: "foreign return_to", body: user("") + `,"returnTo":"https://acme.zendesk.com.evil.example/"`,
			reason: "RETURN_TO_NOT_ALLOWED", code: denied, http: 403, field: "return_to"},
		{name: "protocol-relative return_to", body: user("") + `,"returnTo":"//evil.example/"`,
			reason: "RETURN_TO_NOT_ALLOWED", code: denied, http: 403, field: "return_to"},
		{name: "address out of range", conf: "acme-staff",
			body:   user(`,"role":"ROLE_AGENT"`) + `,"clientIp":"198.51.100.1"`,
			reason: "CLIENT_IP_NOT_ALLOWED", code: denied, http: 403, info: "field=client_ip"},

		// Validation of the request.
		{name: "no user", body: ``, reason: "INVALID_FIELD", code: invalid, http: 400, field: "user"},
		{name: "configuration malformed", conf: "ACME", body: user(""),
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "configuration"},
		{name: "bad address", body: `"user":{"email":"Bob <a@b.example>","emailVerified":true,"name":"B"}`,
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.email"},
		{name: "not verified", body: `"user":{"email":"a@b.example","name":"A"}`,
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.email_verified"},
		{name: "no name", body: `"user":{"email":"a@b.example","emailVerified":true,"name":"  "}`,
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.name"},
		{name: "comma in an organisation", body: user(`,"organizations":["Acme, Inc."]`),
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.organizations[0]"},
		{name: "control character", body: user(`,"externalId":"a\u0000b"`),
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.external_id"},
		{name: "white space around an id", body: user(`,"externalId":" 7"`),
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.external_id"},
		{name: "bidi character", body: `"user":{"email":"a@b.example","emailVerified":true,"name":"A\u202eB"}`,
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.name"},
		{name: "role outside the audience", body: user(`,"role":"ROLE_ADMIN"`),
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.role"},
		{name: "no role for staff", conf: "acme-staff", body: user("") + `,"clientIp":"192.0.2.7"`,
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.role"},
		{name: "custom role without agent", conf: "acme-staff",
			body:   user(`,"role":"ROLE_ADMIN","customRoleId":"1"`) + `,"clientIp":"192.0.2.7"`,
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "user.custom_role_id"},
		{name: "locale with two audiences", conf: "acme-both", body: user(`,"localeId":"1"`),
			claims: anaClaims, warned: "user.locale_id"},
		{name: "number too large", body: user(`,"userFields":{"n":9007199254740993}`),
			reason: "INVALID_FIELD", code: invalid, http: 400, field: `user.user_fields["n"]`},
		{name: "no address where needed", conf: "acme-staff", body: user(`,"role":"ROLE_AGENT"`),
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "client_ip"},
		{name: "malformed return_to", body: user("") + `,"returnTo":"/hc\\evil"`,
			reason: "INVALID_FIELD", code: invalid, http: 400, field: "return_to"},
		{name: "version not held", body: user("") + `,"secretVersion":7`,
			reason: "SECRET_VERSION_UNKNOWN", code: codes.NotFound, http: 404, info: "field=secret_version"},

		// States of the secret.
		{name: "secret too short", conf: "acme-broken", body: user(""),
			reason: "SECRET_UNUSABLE", code: codes.Internal, http: 500},
		{name: "secret missing", conf: "acme-gone", body: user(""),
			reason: "SECRET_UNUSABLE", code: codes.Internal, http: 500},
		{name: "disabled", conf: "acme-off", body: user(""),
			reason: "CONFIGURATION_DISABLED", code: codes.Unavailable, http: 503},
	}
}

func (c signInCase) authorization() (values []string) {
	switch c.caller {
	case "-":
		return nil
	case "":
		return []string{"Bearer dmk_everything"}
	}
	for _, key := range strings.Split(c.caller, "|") {
		values = append(values, "Bearer "+key)
	}
	return values
}

func (c signInCase) configuration() string {
	if c.conf == "" {
		return "configurations/acme-customers"
	}
	return "configurations/" + c.conf
}

func TestMintToken(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	if err := s.Store.Disable("sso/acme-off", true); err != nil {
		t.Fatal(err)
	}
	off := parse(t, configuration)
	for _, ref := range off.Refs() {
		if ref.Path == "sso/acme-off" {
			if _, _, err := s.Ring.Refresh(t.Context(), ref); err != nil {
				t.Log(err)
			}
		}
	}
	for _, c := range signInCases() {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}

// run checks the case through both transports.
func (c signInCase) run(t *testing.T, s *server) {
	t.Run("grpc", func(t *testing.T) {
		request := &pb.MintTokenRequest{}
		if err := protojson.Unmarshal([]byte("{"+c.body+"}"), request); err != nil {
			t.Fatal(err)
		}
		request.Configuration = c.configuration()
		response := &pb.MintTokenResponse{}
		a := s.overGRPC(t.Context(), pb.TokenService_MintToken_FullMethodName, request, response,
			c.authorization()...)
		c.check(t, a, response)
	})
	t.Run("http", func(t *testing.T) {
		response := &pb.MintTokenResponse{}
		a := s.overHTTP(t.Context(), "/v1/"+c.configuration()+":mintToken", "{"+c.body+"}", response,
			c.authorization()...)
		c.check(t, a, response)
	})
}

func (c signInCase) check(t *testing.T, a answer, response *pb.MintTokenResponse) {
	t.Helper()
	if a.code != c.code || a.reason != c.reason {
		t.Fatalf("got %v %s %q %v, want %v %s", a.code, a.reason, a.message, a.field, c.code, c.reason)
	}
	if c.http != 0 && a.http != 0 && a.http != c.http {
		t.Errorf("HTTP status %d, want %d", a.http, c.http)
	}
	if _, ok := a.field[c.field]; c.field != "" && !ok {
		t.Errorf("violations %v, want one of %s", a.field, c.field)
	}
	if key, value, ok := strings.Cut(c.info, "="); ok && a.info[key] != value {
		t.Errorf("metadata %v, want %s", a.info, c.info)
	}
	if c.reason != "" {
		if response.GetToken() != "" {
			t.Error("the refusal has a token")
		}
		return
	}
	c.checkToken(t, response)
	if c.warned != "" && (len(response.GetWarnings()) != 1 || response.GetWarnings()[0].GetField() != c.warned) {
		t.Errorf("warnings %v, want one of %s", response.GetWarnings(), c.warned)
	}
}

// checkToken computes the whole token with the standard library and compares it byte for byte. Only
// the jti is from the answer.
func (c signInCase) checkToken(t *testing.T, response *pb.MintTokenResponse) {
	t.Helper()
	claims := fmt.Sprintf(`{"iat":%d,"jti":%q,%s}`, now.Unix(), response.GetJti(),
		strings.ReplaceAll(c.claims, "IAT+180", fmt.Sprint(now.Unix()+180)))
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"typ":"JWT","alg":"HS256"}`)) + "." + encode([]byte(claims))
	secret := customersSecret
	if c.conf == "acme-staff" || c.conf == "acme-both" {
		secret = staffSecret
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	if want := input + "." + encode(mac.Sum(nil)); response.GetToken() != want {
		t.Errorf("token\n%s, want\n%s\nclaims %v\nwant %s", response.GetToken(), want,
			claimsOf(t, response.GetToken()), claims)
	}
	if len(response.GetJti()) < 22 { // 128 bits in base64url
		t.Errorf("jti %q is too short", response.GetJti())
	}
	if got := response.GetIssueTime().AsTime(); !got.Equal(now.Truncate(1e9)) {
		t.Errorf("issue_time %v", got)
	}
	if got := response.GetExpireTime().AsTime().Sub(response.GetIssueTime().AsTime()).Minutes(); got != 3 {
		t.Errorf("the token expires %v minutes after its issue, want 3", got)
	}
	if f := response.GetForm(); f.GetFields()["jwt"] != response.GetToken() ||
		!strings.HasSuffix(f.GetAction(), ".zendesk.com/access/jwt") {
		t.Errorf("form %v", f)
	}
}

// TestSignInRequestsShareTheirFields checks that the other two sign-in requests have all fields of
// MintTokenRequest and two more.
func TestSignInRequestsShareTheirFields(t *testing.T) {
	mint := (&pb.MintTokenRequest{}).ProtoReflect().Descriptor().Fields()
	for _, other := range []proto.Message{&pb.RenderFormRequest{}, &pb.RenderPageRequest{}} {
		fields := other.ProtoReflect().Descriptor().Fields()
		if fields.Len() != mint.Len()+2 {
			t.Errorf("%T has %d fields, MintTokenRequest %d", other, fields.Len(), mint.Len())
		}
		for i := range mint.Len() {
			want := mint.Get(i)
			got := fields.ByNumber(want.Number())
			if got == nil || got.Name() != want.Name() || got.Kind() != want.Kind() ||
				got.Message() != want.Message() ||
				!proto.Equal(got.Options(), want.Options()) {
				t.Errorf("%T: field %d is %v, want %v", other, want.Number(), got, want)
			}
		}
	}
}
