package status

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PerPage is the number of configurations on one page.
const PerPage = 50

// maxParameter limits the parameters of the page, in bytes.
const maxParameter = 64

// SelectionOf reads the parameters of the page: find, state and page. It ignores all others.
func SelectionOf(query url.Values) Selection {
	s := Selection{Find: short(query.Get("find")), State: short(query.Get("state")), Page: 1}
	if n, err := strconv.Atoi(query.Get("page")); err == nil && n > 1 {
		s.Page = n
	}
	return s
}

// short cuts a parameter off between two characters. It keeps a mark for what is not valid UTF-8, so
// that a search for it finds nothing.
func short(s string) string {
	s = strings.ToValidUTF8(s, "�")
	end := min(len(s), maxParameter)
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.TrimSpace(s[:end])
}

// Has reports whether the selection has a configuration.
func (s Selection) Has(name, displayName, state string) bool {
	find := strings.ToLower(s.Find)
	return (s.State == "" || s.State == state) &&
		(strings.Contains(name, find) || strings.Contains(strings.ToLower(displayName), find))
}

// Everything reports whether the selection leaves out nothing.
func (s Selection) Everything() bool { return s.Find == "" && s.State == "" }

// InState returns the link to the first page of a state. No state means all.
func (s Selection) InState(state string) string { return Selection{s.Find, state, 1}.link() }

// At returns the link to a page of the same selection.
func (s Selection) At(page int) string { return Selection{s.Find, s.State, page}.link() }

func (s Selection) link() string {
	query := url.Values{}
	if s.Find != "" {
		query.Set("find", s.Find)
	}
	if s.State != "" {
		query.Set("state", s.State)
	}
	if s.Page > 1 {
		query.Set("page", strconv.Itoa(s.Page))
	}
	if len(query) == 0 {
		return "/"
	}
	return "/?" + query.Encode()
}

// Last returns the number of the last row.
func (l List) Last() int { return l.First + len(l.Rows) - 1 }

// MoreFaulty reports whether the next page can have findings, too. Rows with findings come first.
func (l List) MoreFaulty() bool {
	return l.Selection.Page < l.Pages && len(l.Rows) > 0 && len(l.Rows[len(l.Rows)-1].Findings) > 0
}

// Faulty returns the rows that have findings.
func (l List) Faulty() (rows []Row) {
	for _, r := range l.Rows {
		if len(r.Findings) > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}
