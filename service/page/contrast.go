package page

import (
	"math"
	"strconv"
)

// minTextContrast is the contrast that WCAG 2.2 (success criterion 1.4.3) requires for text of the
// button's size.
const minTextContrast = 4.5

// The background colours of the button, as in page.css.
const (
	lightCard = "#ffffff"
	darkCard  = "#191d23"
)

// textClass returns the class of the text that is readable on a button of this colour, which has
// the form #rrggbb. It chooses white if white is readable, because most brands expect white, and
// black otherwise. One of them is always readable, because the two contrasts multiply to 21 for
// every colour.
func textClass(color string) string {
	if contrast(color, "#ffffff") >= minTextContrast {
		return "light-ink"
	}
	return "dark-ink"
}

// buttonClasses returns the classes of a button of this colour, which has the form #rrggbb. The
// first class is that of the text. If the colour is hard to distinguish from the page's background
// (WCAG 2.2, success criterion 1.4.11), a second class adds a border. The class is "pale" for light
// mode and "deep" for dark mode.
func buttonClasses(color string) string {
	const visible = 3.0
	switch {
	case contrast(color, lightCard) < visible:
		return textClass(color) + " pale"
	case contrast(color, darkCard) < visible:
		return textClass(color) + " deep"
	}
	return textClass(color)
}

// contrast returns the contrast ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance returns the relative luminance of WCAG 2.2, from 0 (black) to 1 (white).
func luminance(color string) float64 {
	channel := func(hex string) float64 {
		n, _ := strconv.ParseUint(hex, 16, 8) // Check has validated the form
		v := float64(n) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(color[1:3]) + 0.7152*channel(color[3:5]) + 0.0722*channel(color[5:7])
}
