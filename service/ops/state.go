package ops

import (
	"errors"

	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service/config"
)

// State is the state of a configuration's secret. It determines the outcome of a sign-in.
type State string

// The states of a configuration's secret.
const (
	Usable      State = "usable"
	Stale       State = "stale"       // usable, but the last refresh failed
	Unavailable State = "unavailable" // the store doesn't answer, and the held key is too old
	Unusable    State = "unusable"    // an operator must act
	Disabled    State = "disabled"    // an operator switched it off
	Unknown     State = "unspecified"
)

// State returns the state of a configuration's secret.
func (m *Monitor) State(conf *config.Configuration) State {
	_, err := m.options.Secrets.Get(conf.Secret, conf.MaxStale)
	state, known := m.options.Secrets.State(conf.Secret)
	switch {
	case err == nil && m.selfTest(conf) != nil:
		return Unusable
	case err == nil && known && state.Fault != nil && state.Succeeded.Before(state.Attempted):
		return Stale // the last refresh failed, so the fault is not that of another version
	case err == nil:
		return Usable
	case errors.Is(err, secrets.ErrDisabled):
		return Disabled
	case secrets.IsUnusable(err):
		return Unusable
	case errors.Is(err, secrets.ErrUnavailable):
		return Unavailable
	}
	return Unknown
}
