package page

import "golang.org/x/text/language"

var french = texts{
	Language: language.French,

	Title:    "Connexion à {brand} en cours",
	Message:  "Un instant, s’il vous plaît.",
	Button:   "Continuer vers {brand}",
	NoScript: "Votre navigateur n’exécute pas de scripts sur cette page. Appuyez sur le bouton pour continuer.",

	SlowHeading: "La connexion à {brand} prend plus de temps que d’habitude",
	SlowText: "Si {brand} ne s’ouvre pas d’ici une minute, ou si vous avez interrompu le chargement, " +
		"revenez au point de départ et reconnectez-vous.",
	BlockedHeading: "Votre navigateur a bloqué la connexion à {brand}",
	BlockedText: "Un réglage est incorrect de notre côté ; votre navigateur s’est donc arrêté. Réessayez " +
		"depuis le début. Si cela ne suffit pas, prévenez les personnes chargées de ce service.",
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
			"La connexion à {brand} est impossible pour l’instant",
			"La connexion est interrompue pour le moment. Patientez une minute, puis réessayez.",
		},
		ProblemDisabled: {
			"La connexion à {brand} est désactivée",
			"Réessayez plus tard, ou adressez-vous aux personnes chargées de ce service.",
		},
		ProblemLate: {
			"La connexion à {brand} a pris trop de temps",
			"Une connexion n’est valable que quelques minutes, et celle-ci est arrivée trop tard. " +
				"Recommencez depuis le début. Si cela se reproduit, prévenez les personnes chargées de ce " +
				"service.",
		},
		ProblemOtherWay: {
			"Choisissez une autre façon de vous connecter à {brand}",
			"Cette fois, la connexion n’est pas possible d’ici. Ouvrez {brand} et choisissez l’une des " +
				"options proposées. Si aucune ne fonctionne, adressez-vous aux personnes chargées de ce " +
				"service.",
		},
		ProblemNotCreated: {
			"{brand} n’a pas pu créer votre compte",
			"{brand} n’accepte pas certaines de vos informations. Réessayer n’y changera rien. Prévenez " +
				"les personnes chargées de ce service.",
		},
		ProblemConflict: {
			"{brand} vous connaît sous un autre compte",
			"Certaines de vos informations appartiennent à un autre compte chez {brand}. Réessayer n’y " +
				"changera rien. Demandez aux personnes chargées de ce service de mettre vos comptes en " +
				"ordre.",
		},
	},
}
