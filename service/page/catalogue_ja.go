package page

import "golang.org/x/text/language"

// A no-break space keeps the particle together with the name before it.
var japanese = texts{
	Language: language.Japanese,

	Title:    "{brand} にサインインしています",
	Message:  "しばらくお待ちください。",
	Slow:     "通常より時間がかかっています。{brand} に接続中です。1 分ほど待っても変わらない場合は、最初からやり直してください。",
	Button:   "{brand} に進む",
	NoScript: "お使いのブラウザーでは、このページのスクリプトが実行されません。ボタンを押して続行してください。",

	LoopHeading: "{brand} にサインインできません",
	LoopText:    "短い間に何度もこのページに戻されたため、処理を停止しました。しばらく待ってから、最初からサインインし直してください。それでも解決しない場合は、このサービスの担当者にお知らせください。",
	LoopButton:  "もう一度試す",
	UsedHeading: "このサインインは使用済みです",
	UsedText:    "サインインは一度しか使えません。もう一度サインインするには、いつもの場所から {brand} を開いてください。",
	Start:       "最初に戻る",

	Problems: [ProblemLoop]problemText{
		ProblemFailed: {
			"{brand} にサインインできません",
			"こちら側で問題が発生しています。時間をおいてもう一度お試しください。問題が続く場合は、このサービスの担当者にお知らせください。",
		},
		ProblemRefused: {
			"この方法では {brand} にサインインできません",
			"お使いのアカウントには、ここでサインインする権限がありません。権限があるはずの場合は、このサービスの担当者にお問い合わせください。",
		},
		ProblemUnavailable: {
			"現在 {brand} にサインインできません",
			"サインインが一時的に中断しています。1 分ほど待ってから、もう一度お試しください。",
		},
		ProblemDisabled: {
			"{brand} へのサインインは停止されています",
			"時間をおいてもう一度お試しいただくか、このサービスの担当者にお問い合わせください。",
		},
	},
}
