package page

import "golang.org/x/text/language"

var french = texts{
	Language: language.French,

	Title:   "Connexion à {brand} en cours",
	Message: "Un instant, s’il vous plaît.",
	Slow: "Cela prend plus de temps que d’habitude ; la connexion à {brand} est toujours en cours. " +
		"Si rien ne se passe d’ici une minute, recommencez depuis le début.",
	Button:   "Continuer vers {brand}",
	NoScript: "Votre navigateur n’exécute pas de scripts sur cette page. Appuyez sur le bouton pour continuer.",

	LoopHeading: "La connexion à {brand} ne fonctionne pas",
	LoopText: "Cette page s’est rouverte plusieurs fois en peu de temps ; nous avons donc interrompu la connexion. " +
		"Patientez un peu, puis reconnectez-vous depuis le début. " +
		"Si cela ne suffit pas, prévenez les personnes chargées de ce service.",
	LoopButton:  "Réessayer",
	UsedHeading: "Cette connexion a déjà été utilisée",
	UsedText: "Une connexion ne sert qu’une fois. " +
		"Pour vous reconnecter, ouvrez {brand} à partir de votre point de départ habituel.",
	Start: "Revenir au point de départ",

	Problems: [ProblemLoop]problemText{
		ProblemFailed: {
			"Impossible de vous connecter à {brand}",
			"Un problème est survenu de notre côté. Réessayez plus tard. " +
				"S’il persiste, prévenez les personnes chargées de ce service.",
		},
		ProblemRefused: {
			"Vous ne pouvez pas vous connecter à {brand} de cette façon",
			"Votre compte n’est pas autorisé à se connecter ici. " +
				"Si vous pensez qu’il devrait l’être, adressez-vous aux personnes chargées de ce service.",
		},
		ProblemUnavailable: {
			"La connexion à {brand} est momentanément impossible",
			"La connexion est interrompue pour le moment. Patientez une minute, puis réessayez.",
		},
		ProblemDisabled: {
			"La connexion à {brand} est désactivée",
			"Réessayez plus tard, ou adressez-vous aux personnes chargées de ce service.",
		},
	},
}
