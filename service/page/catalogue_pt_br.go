package page

import "golang.org/x/text/language"

var portuguese = texts{
	Language: language.BrazilianPortuguese,

	Title:   "Entrando em {brand}",
	Message: "Um instante, por favor.",
	Slow: "Está demorando mais do que o normal; ainda estamos conectando você a {brand}. " +
		"Se nada acontecer em um minuto, comece de novo.",
	Button:   "Continuar para {brand}",
	NoScript: "Seu navegador não executa scripts nesta página. Pressione o botão para continuar.",

	LoopHeading: "Não está dando certo entrar em {brand}",
	LoopText: "Você voltou a esta página várias vezes em pouco tempo, por isso paramos aqui. " +
		"Espere um pouco e entre de novo desde o início. Se não adiantar, avise os responsáveis por este serviço.",
	LoopButton:  "Tentar mais uma vez",
	UsedHeading: "Este acesso já foi usado",
	UsedText:    "Cada acesso vale uma única vez. Para entrar de novo, abra {brand} por onde você costuma começar.",
	Start:       "Voltar ao início",

	Problems: [ProblemLoop]problemText{
		ProblemFailed: {
			"Não conseguimos conectar você a {brand}",
			"Há algo errado do nosso lado. Tente de novo mais tarde. " +
				"Se o problema continuar, avise os responsáveis por este serviço.",
		},
		ProblemRefused: {
			"Você não pode entrar em {brand} desta forma",
			"Sua conta não tem permissão para entrar aqui. " +
				"Se acha que deveria ter, fale com os responsáveis por este serviço.",
		},
		ProblemUnavailable: {
			"Agora não é possível entrar em {brand}",
			"O acesso está interrompido por enquanto. Espere um minuto e tente de novo.",
		},
		ProblemDisabled: {
			"O acesso a {brand} está desativado",
			"Tente de novo mais tarde ou fale com os responsáveis por este serviço.",
		},
	},
}
