package page

import "golang.org/x/text/language"

var spanish = texts{
	Language: language.Spanish,

	Title:    "Iniciando sesión en {brand}",
	Message:  "Un instante, por favor.",
	Button:   "Continuar a {brand}",
	NoScript: "Su navegador no ejecuta scripts en esta página. Pulse el botón para continuar.",

	SlowHeading: "El inicio de sesión en {brand} tarda más de lo habitual",
	SlowText: "Si {brand} no se abre en un minuto, o si ha detenido la carga, vuelva al inicio e inicie " +
		"sesión de nuevo.",
	BlockedHeading: "Su navegador ha bloqueado el inicio de sesión en {brand}",
	BlockedText: "Un ajuste por nuestra parte es incorrecto, así que su navegador se ha detenido. Vuelva a " +
		"intentarlo desde el principio. Si el problema persiste, avise a los responsables de este " +
		"servicio.",
	LoopHeading: "El inicio de sesión en {brand} no funciona",
	LoopText: "Ha vuelto a esta página varias veces en poco tiempo, así que nos hemos detenido. " +
		"Espere un poco y vuelva a iniciar sesión desde el principio. " +
		"Si el problema persiste, avise a los responsables de este servicio.",
	LoopButton:  "Intentarlo otra vez",
	UsedHeading: "Este inicio de sesión ya se ha utilizado",
	UsedText: "Cada inicio de sesión sirve una sola vez. " +
		"Para volver a entrar, abra {brand} desde donde suele hacerlo.",
	Start: "Volver al inicio",

	Problems: [ProblemLoop]problemText{
		ProblemFailed: {
			"No podemos iniciar su sesión en {brand}",
			"Algo falla por nuestra parte. Inténtelo más tarde. " +
				"Si el problema continúa, avise a los responsables de este servicio.",
		},
		ProblemRefused: {
			"No puede iniciar sesión en {brand} de esta manera",
			"Su cuenta no tiene permiso para iniciar sesión aquí. " +
				"Si cree que debería tenerlo, consulte a los responsables de este servicio.",
		},
		ProblemUnavailable: {
			"Ahora mismo no se puede iniciar sesión en {brand}",
			"El inicio de sesión está interrumpido por ahora. Espere un minuto e inténtelo de nuevo.",
		},
		ProblemDisabled: {
			"El inicio de sesión en {brand} está desactivado",
			"Inténtelo más tarde o consulte a los responsables de este servicio.",
		},
		ProblemLate: {
			"El inicio de sesión en {brand} ha tardado demasiado",
			"Un inicio de sesión solo vale unos minutos, y este ha llegado tarde. Vuelva a empezar desde " +
				"el principio. Si ocurre otra vez, avise a los responsables de este servicio.",
		},
		ProblemOtherWay: {
			"Elija otra manera de iniciar sesión en {brand}",
			"Esta vez no es posible iniciar sesión desde aquí. Abra {brand} y elija una de las opciones " +
				"que ofrece. Si ninguna funciona, consulte a los responsables de este servicio.",
		},
		ProblemNotCreated: {
			"{brand} no ha podido crear su cuenta",
			"{brand} no acepta algunos de sus datos. Volver a intentarlo no servirá de nada. Avise a los " +
				"responsables de este servicio.",
		},
		ProblemConflict: {
			"{brand} le conoce por otra cuenta",
			"Algunos de sus datos pertenecen a otra cuenta en {brand}. Volver a intentarlo no servirá de " +
				"nada. Pida a los responsables de este servicio que pongan en orden sus cuentas.",
		},
	},
}
