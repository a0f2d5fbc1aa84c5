package page

import "golang.org/x/text/language"

var spanish = texts{
	Language: language.Spanish,

	Title:   "Iniciando sesión en {brand}",
	Message: "Un instante, por favor.",
	Slow: "Está tardando más de lo habitual; seguimos conectando con {brand}. " +
		"Si en un minuto no ocurre nada, vuelva a empezar desde el principio.",
	Button:   "Continuar a {brand}",
	NoScript: "Su navegador no ejecuta scripts en esta página. Pulse el botón para continuar.",

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
	},
}
