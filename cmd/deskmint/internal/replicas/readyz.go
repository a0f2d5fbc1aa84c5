package replicas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
)

// maxReadyz limits the size of a response. Ten thousand configurations need less.
const maxReadyz = 16 << 20

// replica is the part of a /readyz response about one configuration.
type replica struct {
	State   string          `json:"state"`
	Active  secrets.Version `json:"active_version"`
	Staged  secrets.Version `json:"staged_version"`
	Serial  *uint64         `json:"serial"` // nil if this version of Deskmint doesn't report it
	Fault   string          `json:"fault"`
	Success string          `json:"last_success"`

	ready bool // the whole replica
}

// ask returns what the replica at target says about a configuration.
func (s *Set) ask(ctx context.Context, target, name string) (replica, error) {
	query := url.Values{"configuration": {name}}.Encode() // an answer about all may leave this one out
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/readyz?"+query, nil)
	if err != nil {
		return replica{}, errors.New("not an address")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return replica{}, fmt.Errorf("no answer: %w", errtext.Cause(err))
	}
	defer response.Body.Close()
	var report struct {
		Ready          bool                `json:"ready"`
		Configurations *map[string]replica `json:"configurations"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxReadyz)).Decode(&report)
	if err != nil || report.Configurations == nil {
		return replica{}, fmt.Errorf("it doesn't answer as a Deskmint does on its ops listener (%d)",
			response.StatusCode)
	}
	got, ok := (*report.Configurations)[name]
	if !ok {
		return got, fmt.Errorf("it has no configuration %s: does it run with this configuration file?", name)
	}
	got.ready = report.Ready
	return got, nil
}

// check returns an error if the replica at target doesn't follow step.
func (s *Set) check(ctx context.Context, target, name string, step rotate.Step) error {
	got, err := s.ask(ctx, target, name)
	switch {
	case err != nil:
		return err
	case !got.ready:
		return errors.New("it isn't ready")
	case !got.follows(step) && got.Serial != nil && *got.Serial > step.Serial && step.Serial != 0:
		return fmt.Errorf("%s; it has seen serial %d, above the store's %d: a later change has overtaken this "+
			"one, or the store was restored from a backup. After a restore, `deskmint secret adopt` makes it "+
			"take the store as it is", got, *got.Serial, step.Serial)
	case !got.follows(step):
		return fmt.Errorf("%s", got)
	}
	return nil
}

// follows reports whether a replica's state is the one that step leads to. A stale replica doesn't
// follow. It may have read the new pointer, and still sign with the previous key.
func (r replica) follows(step rotate.Step) bool {
	current := r.State == "usable" || r.State == "disabled"
	switch step.Kind {
	case rotate.StepWrite:
		return r.Staged == step.Version && current
	case rotate.StepDisable:
		return r.State == "disabled"
	case rotate.StepEnable:
		return r.State == "usable"
	default:
		return r.Active == step.Version && current && (r.Serial == nil || *r.Serial >= step.Serial)
	}
}

// String describes the state of a replica.
func (r replica) String() string {
	text := fmt.Sprintf("it is %s, with version %d active", r.State, r.Active)
	if r.Staged != 0 {
		text += fmt.Sprintf(" and version %d staged", r.Staged)
	}
	if r.Fault != "" {
		text += ": " + r.Fault
	}
	return printable(text)
}

// printable replaces control characters, because a terminal would interpret them.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
