package transport

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/service/transport/internal/shape"
)

// spell spells the fields that an answer names as the caller spelt them. The checks of a request
// name fields in snake_case. It reads the body again only if the answer names a field that has
// another spelling.
func (c *httpCall) spell(a Answer) Answer {
	answer, _ := a.Message.(interface{ GetWarnings() []*pb.Warning })
	warned := answer != nil && len(answer.GetWarnings()) > 0
	if c.message == nil || a.Refusal == nil && !warned {
		return a
	}
	path := c.paths()
	if a.Refusal != nil {
		a.Refusal = a.Refusal.spelt(path)
		if len(c.received) == 0 && c.request.Method == http.MethodPost && a.Refusal.Reason == ReasonInvalidField {
			empty := *a.Refusal
			empty.Message += " Its body is empty: send a JSON object."
			a.Refusal = &empty
		}
	}
	if warned {
		for _, w := range answer.GetWarnings() {
			w.Field = path(w.GetField())
		}
	}
	return a
}

// paths returns a function that spells a path.
func (c *httpCall) paths() func(string) string {
	var spelling *shape.Spelling
	return func(path string) string {
		switch {
		case !shape.HasSpellings(path):
			return path
		case c.request.Method != http.MethodPost:
			return c.parameter(path)
		case spelling == nil:
			spelling = shape.SpellingOf(c.received, c.message)
		}
		return spelling.Path(path)
	}
}

// parameter spells a field as the query does.
func (c *httpCall) parameter(name string) string {
	values, err := url.ParseQuery(c.query)
	f := c.message.Fields().ByName(protoreflect.Name(name))
	if err == nil && f != nil && !values.Has(name) {
		return f.JSONName()
	}
	return name
}

// spelt returns the refusal with other paths. It changes a copy.
func (r *Refusal) spelt(path func(string) string) *Refusal {
	differs := func(v Violation) bool { return shape.HasSpellings(v.Field) }
	field := r.Metadata["field"]
	if r.Reason == ReasonInvalidRequest || !slices.ContainsFunc(r.Violations, differs) && !shape.HasSpellings(field) {
		return r // the decoder has spelt the paths of an invalid request
	}
	out := *r
	out.Violations = slices.Clone(r.Violations)
	for i := range out.Violations {
		out.Violations[i].Field = path(out.Violations[i].Field)
	}
	if field != "" {
		out.Metadata = maps.Clone(r.Metadata)
		out.Metadata["field"] = path(field)
	}
	return &out
}
