// Package spelling finds the name that a misspelt one may mean.
package spelling

// Nearest returns the name that is most similar to a misspelt one, or "" if none is similar.
func Nearest(name string, names []string) string {
	best, least := "", max(1, len(name)/3)
	for _, n := range names {
		if d := distance(name, n); d < least || d == least && best == "" {
			best, least = n, d
		}
	}
	return best
}

// distance returns the number of bytes to insert, remove or replace (Levenshtein distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
