package inspection

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

// Print prints the verdict and what was found, a line each. key says what an acceptable token is
// signed with.
func Print(w io.Writer, r *pb.InspectTokenResponse, key string) error {
	var b strings.Builder
	if r.GetAcceptable() {
		fmt.Fprintf(&b, "acceptable until %s, signed with %s\n", r.GetExpireTime().AsTime().Format("15:04:05 MST"), key)
	}
	for _, list := range []struct {
		prefix   string
		problems []*pb.TokenProblem
	}{{"", r.GetProblems()}, {"warning: ", r.GetWarnings()}, {"configuration: ", r.GetConfigurationDifferences()}} {
		for _, p := range list.problems {
			part := strings.ToLower(strings.TrimPrefix(p.GetPart().String(), "TOKEN_PART_"))
			fmt.Fprintf(&b, "%s%s: %s\n", list.prefix, part, sentence(p))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sentence joins the name and the description. A description of an entry begins with its index.
func sentence(p *pb.TokenProblem) string {
	space := " "
	if p.GetName() == "" || strings.HasPrefix(p.GetDescription(), "[") {
		space = ""
	}
	return plain(p.GetName()) + space + p.GetDescription()
}

// maxName limits how much of a name in the token is printed.
const maxName = 60

// plain returns the start of a name that a token chose, without characters that a terminal would
// execute.
func plain(name string) string {
	runes := []rune(name)
	if len(runes) > maxName {
		runes = append(runes[:maxName], '…')
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, string(runes))
}
