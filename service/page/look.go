package page

import (
	"math"
	"strconv"
)

// readable is the contrast that WCAG 2.2 (success criterion 1.4.3) asks for text of the button's size.
const readable = 4.5

// inkOn returns the class of the text that can be read on a button of this colour, which has the form #rrggbb: white
// where that is readable, as most brands mean it, else black. One of them always is, because the two contrasts
// multiply to 21 for every colour.
func inkOn(color string) string {
	const white = 1.0
	if (white+0.05)/(luminance(color)+0.05) >= readable {
		return "light-ink"
	}
	return "dark-ink"
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
