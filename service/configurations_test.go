package service_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/httpbody"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
)

func namesOf(confs []*pb.Configuration) (names []string) {
	for _, c := range confs {
		names = append(names, strings.TrimPrefix(c.GetName(), "configurations/"))
	}
	return names
}

func brandsOf(c *pb.Configuration) (ids []string) {
	for _, b := range c.GetBrands() {
		ids = append(ids, b.GetId())
	}
	return ids
}

// list requests one page of the list.
func list(t *testing.T, s *server, tr transport, key string, size int, token string) reply {
	t.Helper()
	return tr.send(t.Context(), t, s, call{
		method: "ListConfigurations", keys: []string{key},
		body:  fmt.Sprintf(`"pageSize":%d,"pageToken":%s`, size, quote(token)),
		query: fmt.Sprintf("pageSize=%d&page_token=%s", size, token),
	})
}

func TestListConfigurations(t *testing.T) {
	all := []string{"acme-both", "acme-broken", "acme-customers", "acme-gone", "acme-off", "acme-staff"}
	s := start(t, settings{configuration: configuration})
	eachTransport(t, func(t *testing.T, tr transport) {
		for size := range len(all) + 2 {
			var got []string
			token, pages := "", 0
			for {
				m := get[*pb.ListConfigurationsResponse](t, list(t, s, tr, "dmk_everything", size, token))
				got, pages = append(got, namesOf(m.GetConfigurations())...), pages+1
				if size > 0 && len(m.GetConfigurations()) > size {
					t.Errorf("a page of size %d has %d configurations", size, len(m.GetConfigurations()))
				}
				if token = m.GetNextPageToken(); token == "" || pages > len(all) {
					break
				}
			}
			if !slices.Equal(got, all) || size > 0 && pages != (len(all)+size-1)/size {
				t.Errorf("with the page size %d, %d pages have %v", size, pages, got)
			}
		}
		m := get[*pb.ListConfigurationsResponse](t, list(t, s, tr, "dmk_storefront", 0, ""))
		if got := namesOf(m.GetConfigurations()); !slices.Equal(got, []string{"acme-customers"}) ||
			!slices.Equal(brandsOf(m.GetConfigurations()[0]), []string{"360001"}) {
			t.Errorf("storefront lists %v", m)
		}
		// A page token of another caller must not reveal a configuration of that caller.
		first := get[*pb.ListConfigurationsResponse](t, list(t, s, tr, "dmk_everything", 1, ""))
		m = get[*pb.ListConfigurationsResponse](t, list(t, s, tr, "dmk_storefront", 1, first.GetNextPageToken()))
		if got := namesOf(m.GetConfigurations()); !slices.Equal(got, []string{"acme-customers"}) ||
			m.GetNextPageToken() != "" {
			t.Errorf("storefront lists %v, and the next page token is %q", got, m.GetNextPageToken())
		}
		for _, key := range []string{"dmk_nobody", "dmk_slow"} { // without a grant, and with one without read
			m := get[*pb.ListConfigurationsResponse](t, list(t, s, tr, key, 0, ""))
			if len(m.GetConfigurations()) > 0 || m.GetNextPageToken() != "" {
				t.Errorf("%s lists %v", key, m)
			}
		}
		for name, r := range map[string]reply{
			"page_size":  list(t, s, tr, "dmk_everything", -1, ""),
			"page_size ": list(t, s, tr, "dmk_everything", 1001, ""),
			"page_token": list(t, s, tr, "dmk_everything", 0, inputMarker+"!"),
		} {
			if field := strings.TrimSpace(name); r.code != codes.InvalidArgument || r.reason != "INVALID_FIELD" ||
				r.field[field] == "" {
				t.Errorf("%s: %v %s %v", field, r.code, r.reason, r.field)
			}
		}
		if r := list(t, s, tr, "dmk_other", 0, ""); r.reason != "CALLER_UNAUTHENTICATED" {
			t.Errorf("an unknown caller gets %v %s", r.code, r.reason)
		}
	})
}

func TestGetConfiguration(t *testing.T) {
	var c clock
	s := start(t, settings{configuration: configuration, now: c.now})
	s.disableSecret(t, "sso/acme-off")
	c.set(time.Second)
	s.Store.SetError(errors.New("away"))
	ref := secrets.Ref{Path: "sso/acme-staff", Field: "shared_secret"}
	if _, _, err := s.Ring.Refresh(t.Context(), ref); err == nil {
		t.Fatal("the refresh succeeded although the store fails")
	}
	s.Store.SetError(nil)
	eachTransport(t, func(t *testing.T, tr transport) {
		m := get[*pb.Configuration](t, tr.send(t.Context(), t, s, call{method: "GetConfiguration"}))
		if m.GetName() != "configurations/acme-customers" || m.GetDisplayName() != "Acme customers" ||
			m.GetProfile() != "zendesk_sso" ||
			!slices.Equal(m.GetAudiences(), []pb.Audience{pb.Audience_AUDIENCE_END_USER}) ||
			!slices.Equal(brandsOf(m), []string{"360001", "360002"}) {
			t.Errorf("the configuration is %v", m)
		}
		if b := m.GetBrands()[0]; b.GetName() != "Acme" || b.GetSubdomain() != "acme" ||
			!slices.Equal(b.GetHosts(), []string{"help.acme.com"}) ||
			!b.GetDefault() ||
			b.GetAction() != "https://acme.zendesk.com/access/jwt" {
			t.Errorf("brand %v", b)
		}
		if sec := m.GetSecret(); sec.GetActiveVersion() != 1 || sec.GetLatestVersion() != 1 ||
			sec.GetStagedVersion() != 0 ||
			!sec.GetRefreshTime().AsTime().Equal(now) ||
			sec.GetActiveCreateTime() == nil {
			t.Errorf("secret %v", sec)
		}
		for name, want := range map[string]pb.SecretState{
			"acme-customers": pb.SecretState_SECRET_STATE_USABLE,
			"acme-staff":     pb.SecretState_SECRET_STATE_STALE,
			"acme-broken":    pb.SecretState_SECRET_STATE_UNUSABLE,
			"acme-gone":      pb.SecretState_SECRET_STATE_UNUSABLE,
			"acme-off":       pb.SecretState_SECRET_STATE_DISABLED,
		} {
			m := get[*pb.Configuration](t, tr.send(t.Context(), t, s, call{method: "GetConfiguration", name: name}))
			if got := m.GetSecret().GetState(); got != want {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
		m = get[*pb.Configuration](t,
			tr.send(t.Context(), t, s, call{method: "GetConfiguration", keys: []string{"dmk_storefront"}}))
		if !slices.Equal(brandsOf(m), []string{"360001"}) {
			t.Errorf("storefront gets the brands %v", brandsOf(m))
		}
		r := tr.send(t.Context(), t, s, call{method: "GetConfiguration", name: "ACME"})
		if r.reason != "INVALID_FIELD" || r.field["name"] == "" {
			t.Errorf("%v %s %v", r.code, r.reason, r.field)
		}
	})
}

// TestUngrantedIsLikeMissing checks that the answer about a configuration without a grant is byte
// for byte the same as that about a configuration that doesn't exist, in each state of the secret.
func TestUngrantedIsLikeMissing(t *testing.T) {
	s := start(t, settings{configuration: configuration})
	s.disableSecret(t, "sso/acme-off")
	bodies := map[string]string{
		"MintToken":           user(""),
		"RenderForm":          user("") + `,"onError":"ON_ERROR_PAGE"`,
		"RenderPage":          user("") + `,"onError":"ON_ERROR_PAGE"`,
		"InspectToken":        `"token":"x"`,
		"GetConfiguration":    "",
		"RefreshSecret":       "",
		"ReportSignInFailure": `"kind":"error","message":"JWT signature invalid"`,
	}
	for method, body := range bodies {
		t.Run(method, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, tr transport) {
				var first string
				for _, name := range []string{
					"acme-nowhere", "acme-secluded", "acme-staff", "acme-broken", "acme-gone", "acme-off", "acme-both",
				} {
					r := tr.send(t.Context(), t, s, call{
						method: method, name: name, keys: []string{"dmk_storefront"}, body: body,
					})
					r.header.Del("Date")
					r.header.Del("X-Request-Id")
					code, reason, page := r.code, r.reason, ""
					switch method { // these two answer a refusal with a page
					case "RenderForm":
						m := get[*pb.RenderFormResponse](t, r)
						code, reason = codes.PermissionDenied, m.GetReason()
						page = fmt.Sprint(m.GetHtml(), m.GetHeaders())
					case "RenderPage":
						code, reason = codes.PermissionDenied, r.header.Get("Deskmint-Reason")
						page = string(get[*httpbody.HttpBody](t, r).GetData())
					}
					if (method == "RenderForm" || method == "RenderPage") && !strings.Contains(page, "<html") {
						t.Errorf("the answer about %s has no page", name)
					}
					text := page + fmt.Sprint(r.code, r.http, r.reason, r.answer.message, r.field, r.info, r.retry,
						r.header, string(r.body))
					if first == "" {
						first = text
					}
					if text != first || code != codes.PermissionDenied || reason != "CALLER_NOT_ALLOWED" {
						t.Errorf("the answer about %s is\n%s\nwant that about a missing configuration:\n%s",
							name, text, first)
					}
				}
			})
		})
	}
	if got := s.Log.String(); strings.Contains(got, "request failed") {
		t.Errorf("the log has %s", got)
	}
}

// TestWildcardGrantOfMissingConfiguration checks that a grant for all configurations doesn't allow
// a request for one that doesn't exist.
func TestWildcardGrantOfMissingConfiguration(t *testing.T) {
	yaml := strings.Replace(configuration,
		"configurations: [acme-customers, acme-staff, acme-both, acme-broken, acme-gone, acme-off]",
		`configurations: ["*"]`, 1)
	s := start(t, settings{configuration: yaml})
	eachTransport(t, func(t *testing.T, tr transport) {
		for _, c := range []call{
			{method: "MintToken", body: user("")},
			{method: "MintToken", body: user("") + `,"brandId":"99"`},
			{method: "RenderPage", body: user(`,"organizations":[""]`)},
			{method: "MintToken", body: user("") + `,"validateOnly":true`},
			{method: "InspectToken", body: `"token":"x"`},
			{method: "GetConfiguration"},
			{method: "RefreshSecret"},
			{method: "ReportSignInFailure", body: `"kind":"error"`},
		} {
			c.name = "acme-nowhere"
			if r := tr.send(t.Context(), t, s, c); r.code != codes.PermissionDenied ||
				r.reason != "CALLER_NOT_ALLOWED" {
				t.Errorf("%s: %v %s", c.method, r.code, r.reason)
			}
		}
		mint(t, s, tr, call{name: "acme-secluded", body: user("")})
		got := get[*pb.ListConfigurationsResponse](t, list(t, s, tr, "dmk_everything", 0, ""))
		if len(got.GetConfigurations()) != 7 {
			t.Errorf("the list has %v, want 7 configurations", namesOf(got.GetConfigurations()))
		}
	})
}

// TestRefreshSecret checks that a refresh reports the new state of the secret, valid or not, and
// never the secret itself.
func TestRefreshSecret(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport) {
		var c clock
		s := start(t, settings{configuration: configuration, now: c.now})
		refresh := func(name string) *pb.RefreshSecretResponse {
			t.Helper()
			c.advance(time.Second)
			r := tr.send(t.Context(), t, s, call{method: "RefreshSecret", name: name})
			if r.code != codes.OK {
				t.Fatalf("%v %s", r.code, r.reason)
			}
			return get[*pb.RefreshSecretResponse](t, r)
		}
		r := tr.send(t.Context(), t, s, call{method: "RefreshSecret", keys: []string{"dmk_storefront"}})
		if r.reason != "CALLER_NOT_ALLOWED" {
			t.Errorf("without the action: %v %s", r.code, r.reason)
		}
		if err := s.Store.Activate("sso/acme-customers", 1); err != nil {
			t.Fatal(err)
		}
		s.Store.Put("sso/acme-customers", "shared_secret", []byte(nextSecret))
		if m := refresh("acme-customers"); m.GetBefore().GetStagedVersion() != 0 ||
			m.GetAfter().GetStagedVersion() != 2 ||
			m.GetAfter().GetActiveVersion() != 1 {
			t.Errorf("staged: %v", m)
		}
		if err := s.Store.Activate("sso/acme-customers", 2); err != nil {
			t.Fatal(err)
		}
		if m := refresh("acme-customers"); m.GetBefore().GetActiveVersion() != 1 ||
			m.GetAfter().GetActiveVersion() != 2 ||
			m.GetAfter().GetLatestVersion() != 2 ||
			m.GetAfter().GetStagedVersion() != 0 {
			t.Errorf("activated: %v", m)
		}
		minted := get[*pb.MintTokenResponse](t, tr.send(t.Context(), t, s, call{method: "MintToken", body: user("")}))
		if minted.GetSecretVersion() != 2 {
			t.Errorf("signed with version %d", minted.GetSecretVersion())
		}
		s.Store.Put("sso/acme-broken", "shared_secret", []byte(nextSecret))
		m := refresh("acme-broken")
		if m.GetBefore().GetState() != pb.SecretState_SECRET_STATE_UNUSABLE ||
			m.GetAfter().GetState() != pb.SecretState_SECRET_STATE_USABLE {
			t.Errorf("after the secret was corrected: %v", m)
		}
		s.Store.SetError(errors.New("away"))
		if m := refresh("acme-broken"); m.GetAfter().GetState() != pb.SecretState_SECRET_STATE_STALE {
			t.Errorf("while the store fails: %v", m)
		}
		s.Store.SetError(nil)
		if err := s.Store.Disable("sso/acme-broken", true); err != nil {
			t.Fatal(err)
		}
		if m := refresh("acme-broken"); m.GetAfter().GetState() != pb.SecretState_SECRET_STATE_DISABLED {
			t.Errorf("disabled: %v", m)
		}
		if text, err := protojson.Marshal(m); err != nil || strings.Contains(string(text), "MARKER") {
			t.Errorf("%s %v", text, err)
		}
		r = tr.send(t.Context(), t, s, call{method: "MintToken", name: "acme-broken", body: user("")})
		if r.reason != "CONFIGURATION_DISABLED" || tr.name == "http" && r.http != http.StatusServiceUnavailable {
			t.Errorf("%v %s", r.code, r.reason)
		}
	})
}
