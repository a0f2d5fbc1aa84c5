package page

import "golang.org/x/text/language"

var english = texts{
	Language: language.English,

	Title:    "Signing you in to {brand}",
	Message:  "One moment, please.",
	Button:   "Continue to {brand}",
	NoScript: "Your browser doesn't run scripts on this page. Press the button to continue.",

	SlowHeading: "Signing in to {brand} is taking longer than usual",
	SlowText: "If {brand} doesn't open within a minute, or if you have stopped this page, go back to the " +
		"start and sign in again.",
	BlockedHeading: "Your browser stopped on the way to {brand}",
	BlockedText: "A setting on our side is wrong, so your browser didn't go on. Try again from the start. " +
		"If that doesn't help, tell the people who look after this service.",
	LoopHeading: "Signing in to {brand} isn't working",
	LoopText: "You have been sent back here several times within a short while, so we stopped. " +
		"Wait a little and sign in again from the start. " +
		"If that doesn't help, tell the people who look after this service.",
	LoopButton:  "Try once more",
	UsedHeading: "This sign-in has been used",
	UsedText:    "A sign-in works only once. To sign in again, open {brand} from where you usually start.",
	Start:       "Back to the start",

	Problems: [ProblemLoop]problemText{
		ProblemFailed: {
			"We can't sign you in to {brand}",
			"Something is wrong on our side. Try again later. " +
				"If it goes on, tell the people who look after this service.",
		},
		ProblemRefused: {
			"You can't be signed in to {brand} this way",
			"Your account isn't allowed to sign in here. " +
				"If you think it should be, ask the people who look after this service.",
		},
		ProblemUnavailable: {
			"Signing in to {brand} isn't possible just now",
			"Signing in is interrupted for the moment. Wait a minute and try again.",
		},
		ProblemDisabled: {
			"Signing in to {brand} is switched off",
			"Try again later, or ask the people who look after this service.",
		},
		ProblemLate: {
			"Signing in to {brand} took too long",
			"A sign-in is valid for a few minutes only, and this one came too late. Start again from the " +
				"beginning. If it happens again, tell the people who look after this service.",
		},
		ProblemOtherWay: {
			"Choose another way to sign in to {brand}",
			"Signing in from here isn't possible this time. Open {brand} and choose one of the ways that " +
				"it offers. If none of them works, ask the people who look after this service.",
		},
		ProblemNotCreated: {
			"{brand} couldn't set up your account",
			"{brand} doesn't accept some of your details. Trying again won't help. Tell the people who " +
				"look after this service.",
		},
		ProblemConflict: {
			"{brand} knows you by another account",
			"Some of your details belong to another account at {brand}. Trying again won't help. Ask the " +
				"people who look after this service to put your accounts in order.",
		},
	},
}
