package service

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
	"github.com/deskmint/deskmint/service/zendesk"
)

// reportTimeout limits how long a report waits for the secret store, because a user is waiting for
// the page. The refresh itself continues.
const reportTimeout = 500 * time.Millisecond

// reportSignInFailure classifies what Zendesk sent to the remote logout URL. Anyone can forge that
// query. So its text is not used anywhere else, and the most that it can cause is a limited number
// of refreshes from the secret store.
func (s *Service) reportSignInFailure(
	ctx context.Context,
	x *exchange,
	r *pb.ReportSignInFailureRequest,
) (answer, error) {
	q, err := s.logoutQueryOf(r)
	if err != nil {
		return answer{}, err
	}
	conf, facts, err := s.context(x).Find(nameOf(r.GetName()), policy.Report)
	if err == nil {
		err = s.takeCallerLimit(x, &facts, signin.LimitReport)
	}
	if err != nil {
		return answer{facts: facts}, err
	}
	f := failureOf(q.kind, q.message)
	s.monitor.Reported(conf.Name, f.class.String())
	facts.Acted = true
	if f.class == pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_SIGNATURE {
		s.refreshReported(ctx, x, conf)
	}
	response := &pb.ReportSignInFailureResponse{
		Class:          f.class,
		Cause:          f.cause,
		OperatorAdvice: f.operator,
		UserAdvice:     f.user,
	}
	if r.GetOnError() == pb.OnError_ON_ERROR_PAGE && f.class != pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_LOGOUT {
		response.Html, response.Headers = reportPage(x, conf, q.brand, r.GetLanguage(), f.problem)
	}
	return answer{facts: facts, message: response}, nil
}

// logoutQuery holds the parameters of Zendesk's request to the remote logout URL that the service
// uses.
type logoutQuery struct{ kind, message, brand string }

// logoutQueryOf returns the parameters of a report, which has them whole in query or as fields.
func (s *Service) logoutQueryOf(r *pb.ReportSignInFailureRequest) (logoutQuery, error) {
	violations, err := s.violations(r)
	if err != nil {
		return logoutQuery{}, err
	}
	fields := r.GetKind() + r.GetMessage() + r.GetEmail() + r.GetExternalId() + r.GetBrandId()
	if r.GetQuery() != "" && fields != "" {
		violations = append(violations, zendesk.Violation{
			Field:       "query",
			Description: "can't be sent with kind, message, email, external_id or brand_id, because it contains them",
		})
	}
	if len(violations) > 0 {
		return logoutQuery{}, &zendesk.InvalidError{Violations: violations}
	}
	if r.GetQuery() != "" {
		return parseLogoutQuery(r.GetQuery()), nil
	}
	return logoutQuery{r.GetKind(), r.GetMessage(), r.GetBrandId()}, nil
}

// maxMessage is the limit of the field message. The message of a query is cut there, because a
// query can be longer, and the patterns of messages take their time.
const maxMessage = 4096

// parseLogoutQuery reads a query as browsers do (WHATWG URL Standard, section 5.1). It never fails,
// because a user waits for the page, whatever the query is. Of a parameter that occurs several
// times it takes the first value that isn't empty.
func parseLogoutQuery(query string) (q logoutQuery) {
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		name, value, _ := strings.Cut(pair, "=")
		var target *string
		switch unescapeLeniently(name) {
		case "kind":
			target = &q.kind
		case "message":
			target = &q.message
		case "brand_id":
			target = &q.brand
		default:
			continue
		}
		if *target == "" {
			*target = unescapeLeniently(value)
		}
	}
	q.message = q.message[:min(len(q.message), maxMessage)]
	return q
}

// unescapeLeniently decodes percent-encoding, and + as a space. It keeps malformed escapes as they
// are.
func unescapeLeniently(s string) string {
	s = strings.ReplaceAll(s, "+", "%20")
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, "%")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if b, err := hex.DecodeString(after[:min(2, len(after))]); err == nil && len(b) == 1 {
			out.Write(b)
			s = after[2:]
		} else {
			out.WriteByte('%')
			s = after
		}
	}
}

// refreshReported refreshes the secret of a configuration if the limits permit it. Anyone can cause
// it, so its reads wait for their turn.
func (s *Service) refreshReported(ctx context.Context, x *exchange, conf *config.Configuration) {
	if s.limits.Take(s.now(), reportedRefreshLimits(conf, x.snapshot)...) != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	// The result is in the state of the secret. The answer to the report doesn't depend on it.
	_ = s.secrets.RefreshInTurn(ctx, conf.Secret)
}

// reportPage returns a page in the design of the brand that the query names, if the caller may
// report for it. Otherwise the page has the design of the default brand, if the caller may report
// for that one. Otherwise it is the neutral page.
func reportPage(
	x *exchange,
	conf *config.Configuration,
	brand, language string,
	problem page.Problem,
) (html string, headers map[string]string) {
	p := page.Neutral(language)
	grants := x.grants(conf, policy.Report)
	for _, id := range []string{brand, ""} {
		if b := conf.Profile.Brand(id); b != nil && grants.Brand(b.ID) {
			p = conf.Page(b.ID, language)
			break
		}
	}
	return string(p.RenderProblem(problem)), headersOf(p)
}

// The names of the limits of refreshes that reports cause. No answer has them.
const (
	limitReported    = "reported_refresh_rate"
	limitReportedAll = "reported_refresh_rate_all"
)

// reportedRefreshLimits returns the limits of refreshes that reports cause. The first one is for
// each secret. The second one is for all secrets together and permits a twentieth of
// secrets.max_rate. Without it, reports about many secrets could use up the rate.
func reportedRefreshLimits(conf *config.Configuration, snapshot *config.Snapshot) []policy.Limit {
	maxRate := min(max(1, snapshot.Secrets.MaxRate), 10000)
	all := policy.Rate{PerSecond: float64(maxRate) / 20, Burst: max(1, maxRate/5)}
	return []policy.Limit{
		{Name: limitReported, Key: conf.Secret.String(), Rate: policy.Rate{PerSecond: 0.2, Burst: 1}},
		{Name: limitReportedAll, Rate: all},
	}
}
