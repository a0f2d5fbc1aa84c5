package page

import (
	"math"
	"strconv"
)

// readable is the contrast that WCAG 2.2 (success criterion 1.4.3) asks for text of the button's
// size.
const readable = 4.5

// What the button lies on, as page.css has it.
const (
	lightCard = "#ffffff"
	darkCard  = "#191d23"
)

// inkOn returns the class of the text that can be read on a button of this colour, which has the
// form #rrggbb: white where that is readable, as most brands mean it, else black. One of them
// always is, because the two contrasts multiply to 21 for every colour.
func inkOn(color string) string {
	if contrast(color, "#ffffff") >= readable {
		return "light-ink"
	}
	return "dark-ink"
}

// buttonOn returns the classes of a button of this colour, which has the form #rrggbb: its ink, and
// an edge where the fill by itself doesn't stand out from the page (WCAG 2.2, success criterion
// 1.4.11): pale on its light side, deep on its dark one.
func buttonOn(color string) string {
	const visible = 3.0
	switch {
	case contrast(color, lightCard) < visible:
		return inkOn(color) + " pale"
	case contrast(color, darkCard) < visible:
		return inkOn(color) + " deep"
	}
	return inkOn(color)
}

// contrast is the contrast ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance is the relative luminance of WCAG 2.2, from 0 (black) to 1 (white).
func luminance(color string) float64 {
	channel := func(hex string) float64 {
		n, _ := strconv.ParseUint(hex, 16, 8) // the form has been checked
		v := float64(n) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(color[1:3]) + 0.7152*channel(color[3:5]) + 0.0722*channel(color[5:7])
}
