package service

import (
	"regexp"
	"slices"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/page"
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

const (
	startAgain = "Start again from where you came from."
	tryLater   = "Wait a minute, then start again from where you came from."
)

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
		operator: "Read the message where the report was received. " +
			"Zendesk's log of the person's sign-ins may say more.",
		user: tryLater,
	}
}

// failures lists the kinds of refusals. The first one whose pattern matches wins. The messages about
// a profile are first, because they quote values of it, which can contain the words of any other
// pattern.
var failures = slices.Concat(profileFailures, tokenFailures)

// profileFailures are refusals because of who the person is.
var profileFailures = []failure{
	{
		class:    pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_BLOCKED,
		message:  regexp.MustCompile(`(?i)not allowed to sign up`),
		problem:  page.ProblemRefused,
		cause:    "Zendesk's block list, or its list of allowed domains, keeps this address out.",
		operator: "Check the block list and the allow list in Zendesk's end user settings.",
		user:     "Ask the help desk to admit your address.",
	},
	{
		class: pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_EXTERNAL_ID_CONFLICT,
		message: regexp.MustCompile(`(?i)\bexternal(?:[ _]?id)?\b.*` + // a limit of characters would be slow
			`(?:already|taken|in use|duplicate|conflict|another user)`),
		problem: page.ProblemConflict,
		cause:   "Another user at Zendesk has the external id in the token.",
		operator: "Find the user with this external id at Zendesk. Merge the two users, or correct the external id. " +
			"If ids change in your system, let Zendesk's configuration update external ids.",
		user: "Ask the help desk to put your accounts in order.",
	},
	{
		class: pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_USER_NOT_CREATED,
		message: regexp.MustCompile(`(?i)\buser is invalid\b|\buser creation\b|` +
			`\buser (?:could|can|was)\W?n.{0,5}t (?:be )?(?:created|saved|added)\b|` +
			`\b(?:creat|sav|add)(?:e|ing) (?:(?:the|this|a|an|new|your) )*(?:user|account|profile)\b|` +
			`\balready (?:being )?used by another user\b`),
		problem: page.ProblemNotCreated,
		cause:   "Zendesk could not make a user of the profile in the token.",
		operator: "Read the message where the report was received: it often names the field. " +
			"Look for a name that Zendesk refuses, an address that another user has, and a user who is suspended.",
		user: "Tell the help desk that your account can't be set up.",
	},
}

// tokenFailures are the other refusals.
var tokenFailures = []failure{
	{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_CLOCK,
		message: regexp.MustCompile(`(?i)\binvalid[ _]iat\b|\bsupplied iat value\b|check your server clock`),
		problem: page.ProblemLate,
		cause: "The token was more than three minutes old or ahead by Zendesk's clock: " +
			"a page was left open, or a clock is off.",
		operator: "Compare this machine's clock with NTP. " +
			"If it is right, people have left the page open or their network is slow.",
		user: startAgain,
	},
	{
		class: pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_SIGNATURE,
		message: regexp.MustCompile(`(?i)\bjwt signature\b|\bsignature (?:is )?invalid\b|\binvalid[ _]signature\b|` +
			`\bsignature (?:cannot|could not) be verified\b`),
		problem: page.ProblemFailed,
		cause:   "The token was signed with a secret that isn't this configuration's newest at Zendesk.",
		operator: "Compare the active version with the secret at Zendesk. " +
			"If it was reset there, stage and activate the new one.",
		user: tryLater,
	},
	{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_REPLAY,
		message: regexp.MustCompile(`(?i)identifier has been reused|\bjti\b|invalid_token`),
		problem: page.ProblemUsed,
		cause:   "The same token was posted twice.",
		operator: "Look for something that posts the form again: " +
			"a web view that loads twice, a proxy that retries, a second script.",
		user: startAgain,
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
	{
		class:   pb.SignInFailureClass_SIGN_IN_FAILURE_CLASS_NO_FAULT,
		message: regexp.MustCompile(`(?i)\b(?:options?|methods?|ways?|choices?) below\b`),
		problem: page.ProblemOtherWay,
		cause:   "Nothing is wrong with the token. Zendesk asks the person to choose another way to sign in.",
		operator: "There is nothing to do if it is rare. Otherwise compare the ways to sign in that Zendesk offers " +
			"this kind of person with the links that lead here.",
		user: "Open the help desk and choose one of the ways to sign in that it offers.",
	},
}
