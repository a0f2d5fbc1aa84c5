package page

import (
	"math"
	"regexp"
	"strings"
	"testing"
)

// colours returns the colours that the style sheet defines for light and dark mode.
func colours(t *testing.T) (light, dark map[string]string) {
	t.Helper()
	before, after, ok := strings.Cut(style, "@media(prefers-color-scheme:dark)")
	if !ok {
		t.Fatal("page.css has no dark colours")
	}
	property := regexp.MustCompile(`(--[a-z]+):#([0-9a-f]+)[;}]`)
	read := func(css string) map[string]string {
		found := map[string]string{}
		for _, m := range property.FindAllStringSubmatch(css, -1) {
			if len(m[2]) == 3 {
				m[2] = strings.Join(strings.Split(m[2], ""), " ")
				m[2] = regexp.MustCompile(`(.) ?`).ReplaceAllString(m[2], "$1$1")
			}
			found[m[1]] = "#" + m[2]
		}
		return found
	}
	return read(before), read(after)
}

// TestPalette checks that every text is readable and every border is visible, in light and dark
// mode.
func TestPalette(t *testing.T) {
	light, dark := colours(t)
	if light["--card"] != lightCard || dark["--card"] != darkCard {
		t.Errorf("cards are %s and %s, but contrast.go has others", light["--card"], dark["--card"])
	}
	for name, palette := range map[string]map[string]string{"light": light, "dark": dark} {
		if len(palette) != 6 {
			t.Errorf("%s has %d colours: %v", name, len(palette), palette)
		}
		for _, pair := range []struct {
			on, ink string
			least   float64
		}{{"--card", "--text", 7}, {"--card", "--quiet", 7}, {"--card", "--edge", 3}, {"--ground", "--edge", 3}} {
			if got := contrast(palette[pair.on], palette[pair.ink]); got < pair.least {
				t.Errorf("%s: %s on %s has contrast %.2f, want %v", name, pair.ink, pair.on, got, pair.least)
			}
		}
	}
}

func TestButtonClasses(t *testing.T) {
	for color, want := range map[string]string{
		"#000000": "light-ink deep", "#ffffff": "dark-ink pale", "#1f73b7": "light-ink", "#FFD400": "dark-ink pale",
		"#101820": "light-ink deep", "#5b2c83": "light-ink deep",
		"#767676": "light-ink", "#777777": "dark-ink", // the greys on either side of 4.5:1
	} {
		if got := buttonClasses(color); got != want {
			t.Errorf("%s: %s, want %s", color, got, want)
		}
	}
	if got := contrast("#ffffff", "#000000"); math.Abs(got-21) > 1e-9 {
		t.Errorf("black on white has contrast %v", got)
	}
}

// TestContrastOfEveryColour shows that the configuration may accept every colour. Over a grid of
// every channel, the chosen text colour reaches the required contrast. The button has a border
// where its colour is hard to distinguish from the page.
func TestContrastOfEveryColour(t *testing.T) {
	const digits = "0123456789abcdef"
	worst := 21.0
	for i := range 16 * 16 * 16 {
		color := "#"
		for _, digit := range []int{i >> 8, i >> 4 & 15, i & 15} {
			color += strings.Repeat(digits[digit:digit+1], 2)
		}
		ink := "#000000"
		classes := buttonClasses(color)
		if strings.HasPrefix(classes, "light-ink") {
			ink = "#ffffff"
		}
		got := contrast(ink, color)
		if worst = min(worst, got); got < minTextContrast {
			t.Fatalf("%s has contrast %.2f", color, got)
		}
		for class, card := range map[string]string{"pale": lightCard, "deep": darkCard} {
			if strings.HasSuffix(classes, class) != (contrast(color, card) < 3) {
				t.Fatalf("%s is %q, with contrast %.2f to %s", color, classes, contrast(color, card), card)
			}
		}
	}
	if worst > 4.6 {
		t.Errorf("the worst contrast is %.2f: the grid misses the colours in the middle", worst)
	}
}
