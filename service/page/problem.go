package page

// Problem is a reason why there is no sign-in, as far as the person in front of the browser is
// concerned. It is a closed set of kinds and not a message, so that nothing from outside, and no
// cause from inside, can reach the page.
type Problem int

const (
	// ProblemFailed: a fault that the user can't help. It is what an unknown value is taken for.
	ProblemFailed Problem = iota
	// ProblemRefused: this user may not be signed in here.
	ProblemRefused
	// ProblemUnavailable: it may work again in a minute (a store that is away, a rate limit).
	ProblemUnavailable
	// ProblemDisabled: an operator has switched the configuration off.
	ProblemDisabled
	// ProblemLoop: the same browser came back too often.
	ProblemLoop
	// ProblemUsed: the token was posted before, or too late. A new sign-in is all it takes.
	ProblemUsed

	problems // how many there are
)

// RenderProblem returns the page that tells the user what stands in the way, in the brand's look
// and language. It has no form and no script; it is served with the same headers as the sign-in
// page. The bytes are the caller's to keep.
func (p *Page) RenderProblem(problem Problem) []byte {
	if problem < 0 || problem >= problems {
		problem = ProblemFailed
	}
	return p.segments.problems[problem].fill(&p.values)
}
