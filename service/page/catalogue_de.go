package page

import "golang.org/x/text/language"

var german = texts{
	Language: language.German,

	Title:   "Sie werden bei {brand} angemeldet",
	Message: "Einen Moment, bitte.",
	Slow: "Das dauert länger als sonst; die Verbindung zu {brand} wird noch aufgebaut. " +
		"Wenn innerhalb einer Minute nichts geschieht, beginnen Sie noch einmal von vorn.",
	Button: "Weiter zu {brand}",
	NoScript: "Ihr Browser führt auf dieser Seite keine Skripte aus. " +
		"Klicken Sie auf die Schaltfläche, um fortzufahren.",

	LoopHeading: "Die Anmeldung bei {brand} funktioniert gerade nicht",
	LoopText: "Sie wurden in kurzer Zeit mehrmals hierher zurückgeschickt, deshalb haben wir angehalten. " +
		"Warten Sie ein wenig und melden Sie sich dann von vorn an. " +
		"Hilft das nicht, wenden Sie sich an die Stelle, die diesen Dienst betreut.",
	LoopButton:  "Noch einmal versuchen",
	UsedHeading: "Diese Anmeldung wurde schon verwendet",
	UsedText: "Eine Anmeldung gilt nur einmal. " +
		"Um sich erneut anzumelden, öffnen Sie {brand} dort, wo Sie sonst beginnen.",
	Start: "Zurück zum Anfang",

	Problems: [ProblemLoop]problemText{
		ProblemFailed: {
			"Wir können Sie nicht bei {brand} anmelden",
			"Auf unserer Seite stimmt etwas nicht. Versuchen Sie es später noch einmal. " +
				"Bleibt es dabei, wenden Sie sich an die Stelle, die diesen Dienst betreut.",
		},
		ProblemRefused: {
			"Auf diesem Weg können Sie nicht bei {brand} angemeldet werden",
			"Ihr Konto darf sich hier nicht anmelden. " +
				"Wenn Sie meinen, dass es das dürfen sollte, fragen Sie die Stelle, die diesen Dienst betreut.",
		},
		ProblemUnavailable: {
			"Die Anmeldung bei {brand} ist gerade nicht möglich",
			"Die Anmeldung ist im Augenblick unterbrochen. Warten Sie eine Minute und versuchen Sie es noch einmal.",
		},
		ProblemDisabled: {
			"Die Anmeldung bei {brand} ist abgeschaltet",
			"Versuchen Sie es später noch einmal, oder fragen Sie die Stelle, die diesen Dienst betreut.",
		},
	},
}
