package ops

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/text"
)

// The limits of an answer of /readyz, in bytes. Without them, a store that is at fault would make
// the answer as large as the number of configurations times the length of their faults, for anybody
// who can reach the listener.
const (
	maxReadyz = 64 << 10
	maxFault  = 2 << 10
	// leftOutBytes is the space for the number of configurations that are left out.
	leftOutBytes = 64
)

// warningUnpinned means that the newest version signs because the store has no pointer.
const warningUnpinned = "unpinned"

// readiness is the answer of /readyz.
type readiness struct {
	Ready          bool                       `json:"ready"`
	Fault          string                     `json:"fault,omitempty"`
	Digest         string                     `json:"configuration_digest"`
	Configurations map[string]json.RawMessage `json:"configurations"` // each a secretReadiness
	// LeftOut is the number of configurations for which the answer has no space.
	LeftOut int `json:"configurations_left_out,omitempty"`
}

type secretReadiness struct {
	State   string `json:"state"`
	Active  uint32 `json:"active_version,omitempty"`
	Staged  uint32 `json:"staged_version,omitempty"`
	Serial  uint64 `json:"serial"` // 0 if the store has none, or if the pointer was never moved
	Fault   string `json:"fault,omitempty"`
	Success string `json:"last_success,omitempty"`
	// Warnings name conditions that an operator should change although sign-ins succeed.
	Warnings []string `json:"warnings,omitempty"`
}

// readyz reports whether this replica should receive requests, and the state of each configuration.
// The replica stays ready while the store doesn't answer. Otherwise every replica would leave the
// load balancer's pool at the same time.
//
// The parameter `configuration`, once or several times, selects configurations by their names. If
// the answer has no space for all, it leaves out configurations that are usable before others.
func (m *Monitor) readyz(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(m.readiness(r.URL.Query()["configuration"]))
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !m.Ready() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n'))
}

// readiness returns the answer about the named configurations, or about all if there are no names.
func (m *Monitor) readiness(names []string) readiness {
	snapshot := m.options.Snapshot()
	out := readiness{Ready: m.Ready(), Digest: snapshot.Digest, Configurations: make(map[string]json.RawMessage)}
	if fault := m.selfTests.fault.Load(); fault != nil {
		out.Fault = cut(*fault)
	}
	empty, err := json.Marshal(out)
	if err != nil {
		return out
	}
	size := len(empty) + leftOutBytes
	chosen := m.byUrgency(snapshot, names)
	for i, conf := range chosen {
		text, err := json.Marshal(m.secretReadiness(conf))
		if err != nil {
			continue
		}
		if size += len(text) + len(conf.Name) + len(`"":,`); size > maxReadyz {
			out.LeftOut = len(chosen) - i
			break
		}
		out.Configurations[conf.Name] = text
	}
	return out
}

// byUrgency returns the named configurations of a snapshot, or all of them if there are no names.
// Those that can't sign are first, and those without any fault or warning are last.
func (m *Monitor) byUrgency(snapshot *config.Snapshot, names []string) []*config.Configuration {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[name] = true
	}
	var groups [3][]*config.Configuration
	for _, name := range snapshot.Names() {
		if conf, ok := snapshot.Configuration(name); ok && (wanted[name] || len(wanted) == 0) {
			i := m.urgency(conf)
			groups[i] = append(groups[i], conf)
		}
	}
	return slices.Concat(groups[:]...)
}

func (m *Monitor) urgency(conf *config.Configuration) int {
	held, _ := m.options.Secrets.State(conf.Secret)
	switch state := m.State(conf); {
	case state != Usable && state != Stale && state != Disabled:
		return 0
	case state != Usable || held.Fault != nil || held.Unpinned():
		return 1
	}
	return 2
}

func (m *Monitor) secretReadiness(conf *config.Configuration) secretReadiness {
	held, _ := m.options.Secrets.State(conf.Secret)
	out := secretReadiness{
		State:  string(m.State(conf)),
		Active: uint32(held.ActiveVersion()),
		Staged: uint32(held.Status.Staged()),
		Serial: held.Status.Serial,
	}
	if held.Fault != nil {
		out.Fault = cut(held.Fault.Error())
	} else if err := m.selfTest(conf); err != nil {
		out.Fault = cut(err.Error())
	}
	if held.Unpinned() {
		out.Warnings = append(out.Warnings, warningUnpinned)
	}
	if !held.Succeeded.IsZero() {
		out.Success = held.Succeeded.UTC().Format("2006-01-02T15:04:05Z")
	}
	return out
}

// cut returns the first part of a fault that is too long for the answer, and how long the rest is.
func cut(fault string) string {
	if len(fault) <= maxFault {
		return fault
	}
	more := text.Count(len(fault)-maxFault, "byte")
	return fmt.Sprintf("%s… (%s more)", strings.ToValidUTF8(fault[:maxFault], ""), more)
}
