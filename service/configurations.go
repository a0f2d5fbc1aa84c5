package service

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/zendesk"
)

const defaultPageSize = 100

func (s *Service) listConfigurations(_ context.Context, x *exchange, r *pb.ListConfigurationsRequest) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	after, err := base64.RawURLEncoding.DecodeString(r.GetPageToken())
	if err != nil {
		return answer{}, &zendesk.InvalidError{Faults: []zendesk.Fault{{Field: "page_token", Description: "is none that an answer has given"}}}
	}
	size := int(r.GetPageSize())
	if size == 0 {
		size = defaultPageSize
	}
	response, bytes := &pb.ListConfigurationsResponse{}, 0
	for _, conf := range x.readable() {
		if conf.Name <= string(after) {
			continue
		}
		if n := len(response.Configurations); n == size || bytes > maxAnswer/2 {
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
	var facts signin.Facts
	conf, err := s.context(x).Find(nameOf(r.GetName()), policy.Read, &facts)
	if err != nil {
		return answer{facts: facts}, err
	}
	return answer{facts: facts, message: s.describe(x, conf)}, nil
}

func (s *Service) resolveConfiguration(_ context.Context, x *exchange, r *pb.ResolveConfigurationRequest) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	wanted, err := searchOf(r)
	if err != nil {
		return answer{}, err
	}
	var found []*pb.ResolveConfigurationResponse
	for _, conf := range x.readable() {
		for _, b := range wanted.in(conf, x.brands(conf)) {
			found = append(found, &pb.ResolveConfigurationResponse{Configuration: collection + conf.Name, BrandId: b.ID})
		}
	}
	if len(found) != 1 {
		return answer{}, &resolveError{len(found)}
	}
	facts := signin.Facts{Configuration: nameOf(found[0].GetConfiguration()), Brand: found[0].GetBrandId()}
	return answer{facts: facts, message: found[0]}, nil
}

func (s *Service) refreshSecret(ctx context.Context, x *exchange, r *pb.RefreshSecretRequest) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	var facts signin.Facts
	conf, err := s.context(x).Find(nameOf(r.GetName()), policy.Refresh, &facts)
	if err != nil {
		return answer{facts: facts}, err
	}
	if err := s.limits.Take(s.now(), refreshLimits(x.caller.Name, conf.Name)...); err != nil {
		return answer{facts: facts}, err
	}
	before := s.secretStatus(conf)
	if _, _, err := s.secrets.Refresh(ctx, conf.Secret); err != nil && ctx.Err() != nil {
		return answer{facts: facts}, err // otherwise the state below says what was found
	}
	return answer{facts: facts, message: &pb.RefreshSecretResponse{Before: before, After: s.secretStatus(conf)}}, nil
}

// readable lists the configurations that a caller may read, by name.
func (x *exchange) readable() (confs []*config.Configuration) {
	for _, name := range x.snapshot.Names() {
		conf, ok := x.snapshot.Configuration(name)
		if _, may := x.snapshot.Policy.May(x.caller.Name, name, policy.Read); ok && may {
			confs = append(confs, conf)
		}
	}
	return confs
}

// brands are those of a configuration that a caller may read.
func (x *exchange) brands(conf *config.Configuration) []*zendesk.Brand {
	allowed := x.snapshot.Policy.Brands(x.caller.Name, conf.Name, policy.Read)
	return slices.DeleteFunc(conf.Profile.Brands(), func(b *zendesk.Brand) bool { return !allowed(b.ID) })
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
		State:         s.secretState(conf),
	}
	if active, ok := state.Status.Version(state.Status.Active); ok && !active.Created.IsZero() {
		out.ActiveCreateTime = timestamppb.New(active.Created)
	}
	if !state.Succeeded.IsZero() {
		out.RefreshTime = timestamppb.New(state.Succeeded)
	}
	return out
}

// secretState says what a sign-in at the configuration would meet.
func (s *Service) secretState(conf *config.Configuration) pb.SecretState {
	_, err := s.secrets.Get(conf.Secret, conf.MaxStale)
	state, known := s.secrets.State(conf.Secret)
	switch {
	case err == nil && s.selfTest(conf) != nil:
		return pb.SecretState_SECRET_STATE_UNUSABLE
	case err == nil && known && state.Fault != nil && state.Succeeded.Before(state.Attempted): // the fault isn't that of a version held beside it
		return pb.SecretState_SECRET_STATE_STALE
	case err == nil:
		return pb.SecretState_SECRET_STATE_USABLE
	case errors.Is(err, secrets.ErrDisabled):
		return pb.SecretState_SECRET_STATE_DISABLED
	case isUnusable(err):
		return pb.SecretState_SECRET_STATE_UNUSABLE
	case errors.Is(err, secrets.ErrUnavailable):
		return pb.SecretState_SECRET_STATE_UNAVAILABLE
	}
	return pb.SecretState_SECRET_STATE_UNSPECIFIED
}

// search is what a remote login page knows; what is unset doesn't narrow it.
type search struct {
	brand    string
	audience zendesk.Audience
	ip       netip.Addr
	host     string
}

func searchOf(r *pb.ResolveConfigurationRequest) (search, error) {
	w := search{brand: r.GetBrandId()}
	var faults []zendesk.Fault
	switch r.GetAudience() {
	case pb.Audience_AUDIENCE_END_USER:
		w.audience = zendesk.EndUser
	case pb.Audience_AUDIENCE_TEAM_MEMBER:
		w.audience = zendesk.TeamMember
	case pb.Audience_AUDIENCE_UNSPECIFIED:
	}
	if r.GetClientIp() != "" {
		var err error
		if w.ip, err = netip.ParseAddr(r.GetClientIp()); err != nil || w.ip.Zone() != "" {
			faults = append(faults, zendesk.Fault{Field: "client_ip", Description: "is no IP address"})
		}
	}
	// A path says nothing, and two slashes, of either kind, begin a host and no path.
	if to := r.GetReturnTo(); to != "" && (to[0] != '/' || strings.HasPrefix(strings.ReplaceAll(to, `\`, "/"), "//")) {
		u, err := url.Parse(to)
		if err != nil || u.Host == "" || u.Scheme == "" {
			faults = append(faults, zendesk.Fault{Field: "return_to", Description: "is neither a path nor a URL"})
		} else {
			w.host = u.Host
		}
	}
	if len(faults) > 0 {
		return search{}, &zendesk.InvalidError{Faults: faults}
	}
	return w, nil
}

// in lists the brands that serve what is searched for. A search that says nothing
// of brands means the default one.
func (w search) in(conf *config.Configuration, brands []*zendesk.Brand) []*zendesk.Brand {
	if !conf.Profile.Serves(w.audience) || w.ip.IsValid() && !conf.Profile.InRange(w.ip) {
		return nil
	}
	return slices.DeleteFunc(brands, func(b *zendesk.Brand) bool {
		return w.brand != "" && b.ID != w.brand || w.host != "" && !b.HasHost(w.host) ||
			w.brand == "" && w.host == "" && !b.Default
	})
}
