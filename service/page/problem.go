package page

// Problem is a reason why a sign-in failed, as the user sees it. It is an enumeration and not a
// message, so that neither a caller's text nor an internal cause can reach the page.
type Problem int

const (
	// ProblemFailed means an error that the user can't fix. Unknown values are treated as
	// ProblemFailed.
	ProblemFailed Problem = iota
	// ProblemRefused means that this user may not sign in here.
	ProblemRefused
	// ProblemUnavailable means that signing in may work again in a minute, for example after the
	// secret store was unreachable or a rate limit was reached.
	ProblemUnavailable
	// ProblemDisabled means that an operator has disabled the configuration.
	ProblemDisabled
	// ProblemLate means that Zendesk received the token too late. The user only needs to sign in
	// again.
	ProblemLate
	// ProblemOtherWay means that Zendesk asks the user to choose another way to sign in.
	ProblemOtherWay
	// ProblemNotCreated means that Zendesk couldn't create a user with this profile.
	ProblemNotCreated
	// ProblemConflict means that another user at Zendesk has the external id of this one.
	ProblemConflict
	// ProblemLoop means that the same browser signed in too often.
	ProblemLoop
	// ProblemUsed means that the token was posted before. The user only needs to sign in again.
	ProblemUsed

	problems // number of problems
)

// RenderProblem returns the page that explains a problem to the user, with the brand's appearance
// and language. It has no form and no script. Serve it with the same headers as the sign-in page.
// The caller owns the returned bytes.
func (p *Page) RenderProblem(problem Problem) []byte {
	if problem < 0 || problem >= problems {
		problem = ProblemFailed
	}
	return p.segments.problems[problem].fill(&p.values)
}
