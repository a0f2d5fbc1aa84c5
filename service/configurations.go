package service

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/ops"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/transport"
	"github.com/deskmint/deskmint/service/zendesk"
)

const defaultPageSize = 100

func (s *Service) listConfigurations(_ context.Context, x *exchange, r *pb.ListConfigurationsRequest) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	after, err := base64.RawURLEncoding.DecodeString(r.GetPageToken())
	if err != nil {
		return answer{}, &zendesk.InvalidError{
			Violations: []zendesk.Violation{{Field: "page_token", Description: "is not one from an answer"}},
		}
	}
	facts, err := s.takeReadLimit(x)
	if err != nil {
		return answer{facts: facts}, err
	}
	size := int(r.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	response, bytes := &pb.ListConfigurationsResponse{}, 0
	for _, conf := range x.snapshot.Readable(x.caller.Name, string(after)) {
		if n := len(response.Configurations); n == size || bytes > transport.MaxAnswer/2 {
			last := nameOf(response.Configurations[n-1].GetName())
			response.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		described := s.describe(x, conf)
		bytes += proto.Size(described)
		response.Configurations = append(response.Configurations, described)
	}
	return answer{message: response}, nil
}

func (s *Service) getConfiguration(_ context.Context, x *exchange, r *pb.GetConfigurationRequest) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	conf, facts, err := s.context(x).Find(nameOf(r.GetName()), policy.Read)
	if err == nil {
		err = s.takeCallerLimit(x, &facts, signin.LimitRead)
	}
	if err != nil {
		return answer{facts: facts}, err
	}
	return answer{facts: facts, message: s.describe(x, conf)}, nil
}

func (s *Service) resolveConfiguration(
	_ context.Context,
	x *exchange,
	r *pb.ResolveConfigurationRequest,
) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	wanted, err := searchOf(r)
	if err != nil {
		return answer{}, err
	}
	facts, err := s.takeReadLimit(x)
	if err != nil {
		return answer{facts: facts}, err
	}
	found := x.sites(wanted)
	if len(found) != 1 {
		return answer{}, &resolveError{wanted, found, x.returnToFault(wanted, found)}
	}
	site := found[0]
	facts.Configuration, facts.Brand = site.Configuration.Name, site.Brand.ID
	return answer{
		facts: facts,
		message: &pb.ResolveConfigurationResponse{
			Configuration: collection + site.Configuration.Name, BrandId: site.Brand.ID,
		},
	}, nil
}

// sites returns the sites that serve a search and that the caller may read. It stops when there are
// more than an error names.
func (x *exchange) sites(wanted search) (found []config.Site) {
	for site := range x.snapshot.Sites(x.caller.Name, wanted.Search) {
		if !wanted.matches(site) || !x.grants(site.Configuration, policy.Read).Brand(site.Brand.ID) {
			continue
		}
		if found = append(found, site); len(found) > maxCandidates {
			break
		}
	}
	return found
}

// returnToFault explains why a search found nothing if it would find something without its
// return_to. Otherwise it returns "".
func (x *exchange) returnToFault(wanted search, found []config.Site) string {
	if len(found) > 0 || wanted.returnTo == nil {
		return ""
	}
	without := wanted
	without.Host, without.returnTo = "", nil
	var why string
	for _, site := range x.sites(without) {
		_, err := site.Brand.Accept(*wanted.returnTo)
		foreign := (*zendesk.ForeignError)(nil)
		switch errors.As(err, &foreign); {
		case foreign == nil: // the search has found too many others
			return ""
		case why == "":
			why = foreign.Description
		case why != foreign.Description:
			return "is allowed by none of the brands that the rest of the request may mean"
		}
	}
	return why
}

// takeReadLimit counts a request that reads several configurations against the limit of reads. It
// counts nothing if the caller may read none, as for other requests that aren't granted.
func (s *Service) takeReadLimit(x *exchange) (facts signin.Facts, err error) {
	if len(x.snapshot.Readable(x.caller.Name, "")) > 0 {
		err = s.takeCallerLimit(x, &facts, signin.LimitRead)
	}
	return facts, err
}

// takeCallerLimit counts a request that is no sign-in against a limit of its caller.
func (s *Service) takeCallerLimit(x *exchange, facts *signin.Facts, name string) error {
	c := s.context(x)
	return s.decider.Take(c, facts, c.CallerLimit(name))
}

func (s *Service) refreshSecret(ctx context.Context, x *exchange, r *pb.RefreshSecretRequest) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	conf, facts, err := s.context(x).Find(nameOf(r.GetName()), policy.Refresh)
	if err != nil {
		return answer{facts: facts}, err
	}
	if err := s.decider.Take(s.context(x), &facts, refreshLimits(x.caller.Name, conf.Name)...); err != nil {
		return answer{facts: facts}, err
	}
	facts.Acted = true
	before := s.secretStatus(conf)
	if _, _, err := s.secrets.Refresh(ctx, conf.Secret); err != nil && ctx.Err() != nil {
		return answer{facts: facts}, err // the state below reports any other error
	}
	return answer{facts: facts, message: &pb.RefreshSecretResponse{Before: before, After: s.secretStatus(conf)}}, nil
}

// grants returns the caller's grants that name the configuration and the action, or nil.
func (x *exchange) grants(conf *config.Configuration, action policy.Action) policy.Grants {
	matching, err := x.snapshot.Policy.Matching(x.caller.Name, conf.Name, action)
	if err != nil {
		return nil
	}
	return matching
}

// brands returns the brands of a configuration that the caller may read.
func (x *exchange) brands(conf *config.Configuration) []*zendesk.Brand {
	grants := x.grants(conf, policy.Read)
	return slices.DeleteFunc(conf.Profile.Brands(), func(b *zendesk.Brand) bool { return !grants.Brand(b.ID) })
}

func (s *Service) describe(x *exchange, conf *config.Configuration) *pb.Configuration {
	out := &pb.Configuration{
		Name:        collection + conf.Name,
		DisplayName: conf.DisplayName,
		Profile:     "zendesk_sso",
		Secret:      s.secretStatus(conf),
	}
	for _, a := range conf.Profile.Audiences() {
		out.Audiences = append(out.Audiences, audienceOf(a))
	}
	for _, b := range x.brands(conf) {
		out.Brands = append(out.Brands, &pb.Brand{
			Id: b.ID, Name: b.Name, Subdomain: b.Subdomain, Hosts: b.Hosts, Default: b.Default, Action: b.Action,
		})
	}
	return out
}

func audienceOf(a zendesk.Audience) pb.Audience {
	switch a {
	case zendesk.EndUser:
		return pb.Audience_AUDIENCE_END_USER
	case zendesk.TeamMember:
		return pb.Audience_AUDIENCE_TEAM_MEMBER
	}
	return pb.Audience_AUDIENCE_UNSPECIFIED
}

func (s *Service) secretStatus(conf *config.Configuration) *pb.SecretStatus {
	state, ok := s.secrets.State(conf.Secret)
	if !ok {
		return &pb.SecretStatus{}
	}
	out := &pb.SecretStatus{
		ActiveVersion: uint32(state.ActiveVersion()),
		LatestVersion: uint32(state.Status.Latest),
		StagedVersion: uint32(state.Status.Staged()),
		State:         secretState(s.monitor.State(conf)),
	}
	if active, ok := state.Status.Version(state.Status.Active); ok && !active.Created.IsZero() {
		out.ActiveCreateTime = timestamppb.New(active.Created)
	}
	if !state.Succeeded.IsZero() {
		out.RefreshTime = timestamppb.New(state.Succeeded)
	}
	return out
}

// secretState returns a state in the form of the API.
func secretState(s ops.State) pb.SecretState {
	switch s {
	case ops.Usable:
		return pb.SecretState_SECRET_STATE_USABLE
	case ops.Stale:
		return pb.SecretState_SECRET_STATE_STALE
	case ops.Unavailable:
		return pb.SecretState_SECRET_STATE_UNAVAILABLE
	case ops.Unusable:
		return pb.SecretState_SECRET_STATE_UNUSABLE
	case ops.Disabled:
		return pb.SecretState_SECRET_STATE_DISABLED
	case ops.Unknown:
	}
	return pb.SecretState_SECRET_STATE_UNSPECIFIED
}

// search holds what a remote login page can say about a request. A field that isn't set doesn't
// narrow the search.
type search struct {
	config.Search

	ip       netip.Addr
	returnTo *zendesk.ReturnTo
}

// matches reports whether a site that the index found serves the search. A sign-in at its brand
// would accept the same return_to.
func (w search) matches(s config.Site) bool {
	if w.ip.IsValid() && !s.Configuration.Profile.InRange(w.ip) {
		return false
	}
	if w.returnTo != nil {
		_, err := s.Brand.Accept(*w.returnTo)
		return err == nil
	}
	return true
}

func searchOf(r *pb.ResolveConfigurationRequest) (search, error) {
	w := search{Search: config.Search{Brand: r.GetBrandId()}}
	var violations []zendesk.Violation
	switch r.GetAudience() {
	case pb.Audience_AUDIENCE_END_USER:
		w.Audience = zendesk.EndUser
	case pb.Audience_AUDIENCE_TEAM_MEMBER:
		w.Audience = zendesk.TeamMember
	case pb.Audience_AUDIENCE_UNSPECIFIED:
	}
	if r.GetClientIp() != "" {
		var err error
		if w.ip, err = netip.ParseAddr(r.GetClientIp()); err != nil || w.ip.Zone() != "" {
			violations = append(violations, zendesk.Violation{Field: "client_ip", Description: "is no IP address"})
		}
	}
	if r.GetReturnTo() != "" {
		to, err := zendesk.ParseReturnTo(r.GetReturnTo())
		if err != nil {
			violations = append(violations, zendesk.Violation{Field: "return_to", Description: err.Error()})
		}
		w.returnTo, w.Host = &to, to.Host()
	}
	if len(violations) > 0 {
		return search{}, &zendesk.InvalidError{Violations: violations}
	}
	return w, nil
}
