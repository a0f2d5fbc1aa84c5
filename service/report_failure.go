package service

import (
	"context"
	"regexp"
	"time"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/page"
	"github.com/deskmint/deskmint/service/policy"
	"github.com/deskmint/deskmint/service/signin"
)

// failure is a kind of refusal by Zendesk. Zendesk publishes no list of its messages. The patterns
// are from messages that have been observed.
type failure struct {
	class    pb.SignInFailureClass
	message  *regexp.Regexp
	cause    string
	operator string
	user     string
	problem  page.Problem
}

// reportTimeout limits how long a report waits for the secret store, because a user is waiting for
// the page. The refresh itself continues.
const reportTimeout = 500 * time.Millisecond

const tryLater = "Wait a minute, then start again from where you came from."

// failures lists the kinds of refusals. The first one whose pattern matches wins. The message about
// a blocked address is first because it quotes the address, which can contain a word of any other
// pattern.
var failures = []failure{
	{
		class:    pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_BLOCKED,
		message:  regexp.MustCompile(`(?i)not allowed to sign up`),
		problem:  page.ProblemRefused,
		cause:    "Zendesk's block list, or its list of allowed domains, keeps this address out.",
		operator: "Check the block list and the allow list in Zendesk's end user settings.",
		user:     "Ask the help desk to admit your address.",
	},
	{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_CLOCK,
		message: regexp.MustCompile(`(?i)(?:\b|_)iat\b|clock`),
		problem: page.ProblemUsed,
		cause: "The token was more than three minutes old or ahead by Zendesk's clock: " +
			"a page was left open, or a clock is off.",
		operator: "Compare this machine's clock with NTP. " +
			"If it is right, people have left the page open or their network is slow.",
		user: "Start again from where you came from.",
	},
	{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_SIGNATURE,
		message: regexp.MustCompile(`(?i)signature`),
		problem: page.ProblemFailed,
		cause:   "The token was signed with a secret that isn't this configuration's newest at Zendesk.",
		operator: "Compare the active version with the secret at Zendesk; " +
			"after a reset there, stage and activate the new one.",
		user: tryLater,
	},
	{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_REPLAY,
		message: regexp.MustCompile(`(?i)identifier has been reused|\bjti\b|invalid_token`),
		problem: page.ProblemUsed,
		cause:   "The same token was posted twice.",
		operator: "Look for something that posts the form again: " +
			"a web view that loads twice, a proxy that retries, a second script.",
		user: "Start again from where you came from.",
	},
	{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_NOT_ENABLED,
		message: regexp.MustCompile(`(?i)couldn(?:[^ ]{0,6})t authenticate you`),
		problem: page.ProblemRefused,
		cause:   "Single sign-on isn't switched on at Zendesk for this kind of person.",
		operator: "Assign the configuration to end users or team members in Zendesk's security settings, " +
			"and compare with its audiences here.",
		user: "Ask the help desk whether your account may sign in this way.",
	},
	{
		class:    pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_RATE_LIMITED,
		message:  regexp.MustCompile(`(?i)rate.limit|too.many`),
		problem:  page.ProblemUnavailable,
		cause:    "Zendesk has had too many sign-ins.",
		operator: "Look for a browser in a loop, or a test that signs in for real.",
		user:     tryLater,
	},
}

// failureOf returns the kind of failure that a report describes. A report without a kind is an
// ordinary logout.
func failureOf(kind, message string) failure {
	if kind == "" {
		return failure{
			class: pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_LOGOUT,
			cause: "The person has signed out of Zendesk.",
		}
	}
	for _, f := range failures {
		if f.message.MatchString(message) {
			return f
		}
	}
	return failure{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_UNKNOWN,
		problem: page.ProblemFailed,
		cause:   "Zendesk refused the sign-in with a message that matches no known pattern.",
		operator: "Read the message where the report was received; " +
			"Zendesk's log of the person's sign-ins may say more.",
		user: tryLater,
	}
}

// reportSignInFailure classifies what Zendesk sent to the remote logout URL. Anyone can forge that
// query. So its text is not used anywhere else, and the most that it can cause is a limited number
// of refreshes from the secret store.
func (s *Service) reportSignInFailure(
	ctx context.Context,
	x *exchange,
	r *pb.ReportSignInFailureRequest,
) (answer, error) {
	if err := s.valid(r); err != nil {
		return answer{}, err
	}
	conf, facts, err := s.context(x).Find(nameOf(r.GetName()), policy.Report)
	if err == nil {
		err = s.takeCallerLimit(x, &facts, signin.LimitReport)
	}
	if err != nil {
		return answer{facts: facts}, err
	}
	f := failureOf(r.GetKind(), r.GetMessage())
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
		response.Html, response.Headers = reportPage(x, conf, r, f.problem)
	}
	return answer{facts: facts, message: response}, nil
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
	r *pb.ReportSignInFailureRequest,
	problem page.Problem,
) (html string, headers map[string]string) {
	p := page.Neutral(r.GetLanguage())
	grants := x.grants(conf, policy.Report)
	for _, id := range []string{r.GetBrandId(), ""} {
		if brand := conf.Profile.Brand(id); brand != nil && grants.Brand(brand.ID) {
			p = conf.Page(brand.ID, r.GetLanguage())
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
