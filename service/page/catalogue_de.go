package page

import "golang.org/x/text/language"

var german = texts{
	Language: language.German,

	Title:   "Sie werden bei {brand} angemeldet",
	Message: "Einen Moment, bitte.",
	Button:  "Weiter zu {brand}",
	NoScript: "Ihr Browser führt auf dieser Seite keine Skripte aus. " +
		"Klicken Sie auf die Schaltfläche, um fortzufahren.",

	SlowHeading: "Die Anmeldung bei {brand} dauert länger als sonst",
	SlowText: "Wenn sich {brand} nicht innerhalb einer Minute öffnet oder Sie das Laden abgebrochen haben, " +
		"gehen Sie zurück zum Anfang und melden Sie sich noch einmal an.",
	BlockedHeading: "Ihr Browser hat die Anmeldung bei {brand} angehalten",
	BlockedText: "Eine Einstellung auf unserer Seite ist falsch, deshalb ging es in Ihrem Browser nicht " +
		"weiter. Versuchen Sie es noch einmal von vorn. Hilft das nicht, wenden Sie sich an die " +
		"Stelle, die diesen Dienst betreut.",
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
		ProblemLate: {
			"Die Anmeldung bei {brand} hat zu lange gedauert",
			"Eine Anmeldung gilt nur wenige Minuten, und diese kam zu spät. Beginnen Sie noch einmal von " +
				"vorn. Geschieht es wieder, wenden Sie sich an die Stelle, die diesen Dienst betreut.",
		},
		ProblemOtherWay: {
			"Melden Sie sich bei {brand} auf einem anderen Weg an",
			"Von hier aus ist die Anmeldung diesmal nicht möglich. Öffnen Sie {brand} und wählen Sie " +
				"einen der Wege, die dort angeboten werden. Hilft keiner davon, fragen Sie die Stelle, die " +
				"diesen Dienst betreut.",
		},
		ProblemNotCreated: {
			"{brand} konnte Ihr Konto nicht anlegen",
			"Einen Teil Ihrer Angaben nimmt {brand} nicht an. Ein neuer Versuch hilft nicht. Wenden Sie " +
				"sich an die Stelle, die diesen Dienst betreut.",
		},
		ProblemConflict: {
			"{brand} kennt Sie unter einem anderen Konto",
			"Ein Teil Ihrer Angaben gehört bei {brand} zu einem anderen Konto. Ein neuer Versuch hilft " +
				"nicht. Bitten Sie die Stelle, die diesen Dienst betreut, Ihre Konten zu ordnen.",
		},
	},
}
