package page

import "golang.org/x/text/language"

var english = texts{
	Language: language.English,

	Title:   "Signing you in to {brand}",
	Message: "One moment, please.",
	Slow: "This is taking longer than usual; we are still connecting to {brand}. " +
		"If nothing happens within a minute, start again from the beginning.",
	Button:   "Continue to {brand}",
	NoScript: "Your browser doesn't run scripts on this page. Press the button to continue.",

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
	},
}
