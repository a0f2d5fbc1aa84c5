package page

import "golang.org/x/text/language"

var portuguese = texts{
	Language: language.BrazilianPortuguese,

	Title:    "Entrando em {brand}",
	Message:  "Um instante, por favor.",
	Button:   "Continuar para {brand}",
	NoScript: "Seu navegador não executa scripts nesta página. Pressione o botão para continuar.",

	SlowHeading: "Entrar em {brand} está demorando mais do que o normal",
	SlowText: "Se {brand} não abrir em um minuto, ou se você interrompeu o carregamento, volte ao início e " +
		"entre de novo.",
	BlockedHeading: "Seu navegador bloqueou o acesso a {brand}",
	BlockedText: "Há uma configuração errada do nosso lado, por isso seu navegador parou. Tente de novo desde " +
		"o início. Se não adiantar, avise os responsáveis por este serviço.",
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
		ProblemLate: {
			"Entrar em {brand} demorou demais",
			"Cada acesso vale só por alguns minutos, e este chegou tarde. Comece de novo. Se acontecer " +
				"outra vez, avise os responsáveis por este serviço.",
		},
		ProblemOtherWay: {
			"Escolha outra forma de entrar em {brand}",
			"Desta vez não é possível entrar por aqui. Abra {brand} e escolha uma das opções oferecidas. " +
				"Se nenhuma funcionar, fale com os responsáveis por este serviço.",
		},
		ProblemNotCreated: {
			"{brand} não conseguiu criar sua conta",
			"{brand} não aceita alguns dos seus dados. Tentar de novo não vai adiantar. Avise os " +
				"responsáveis por este serviço.",
		},
		ProblemConflict: {
			"{brand} conhece você por outra conta",
			"Alguns dos seus dados pertencem a outra conta em {brand}. Tentar de novo não vai adiantar. " +
				"Peça aos responsáveis por este serviço que acertem suas contas.",
		},
	},
}
