package text

import "strconv"

// Count returns a number with its noun, such as "1 fault" or "2 faults". The plural of the noun must
// end in s.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
