package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/errtext"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/rotate"
)

// replicas asks running services, on their ops listeners, how a secret stands there.
type replicas struct {
	addresses []string // HOST:PORT; a name stands for all its addresses
	resolve   func(ctx context.Context, network, host string) ([]netip.Addr, error)
	client    *http.Client
	pause     time.Duration // between two rounds
}

// maxReadyz bounds an answer: ten thousand configurations fit.
const maxReadyz = 16 << 20

func (f actFlags) replicas() (replicas, error) {
	for _, address := range f.Replicas {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return replicas{}, fmt.Errorf("--replicas %s: must be HOST:PORT, of the ops listener", address)
		}
	}
	return replicas{
		addresses: f.Replicas,
		resolve:   net.DefaultResolver.LookupNetIP,
		client: &http.Client{
			Timeout:       2 * time.Second,
			Transport:     &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 2 * time.Second}, // no proxy: these are addresses inside
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pause: 200 * time.Millisecond,
	}, nil
}

// await asks until every replica stands as step leaves the store, and says how many
// they are; when ctx ends before, which of them doesn't. Names are resolved in each
// round: replicas come and go.
func (r replicas) await(ctx context.Context, name string, step rotate.Step) (int, error) {
	var behind []string
	for {
		count, faults := r.round(ctx, name, step)
		if len(faults) == 0 {
			return count, nil
		}
		if ctx.Err() == nil || behind == nil { // a round that was cut short knows less than the one before
			behind = faults
		}
		select {
		case <-ctx.Done():
			what := "not every replica follows yet"
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				what = "the waiting was called off"
			}
			return 0, fmt.Errorf("%s:\n  %s", what, strings.Join(behind, "\n  "))
		case <-time.After(r.pause):
		}
	}
}

// round asks every replica once, all at the same time.
func (r replicas) round(ctx context.Context, name string, step rotate.Step) (count int, faults []string) {
	targets, faults := r.targets(ctx)
	answers := make([]string, len(targets))
	var asking sync.WaitGroup
	for i, target := range targets {
		asking.Go(func() {
			if err := r.ask(ctx, target, name, step); err != nil {
				answers[i] = target + ": " + err.Error()
			}
		})
	}
	asking.Wait()
	for _, fault := range answers {
		if fault != "" {
			faults = append(faults, fault)
		}
	}
	return len(targets), faults
}

// targets are the addresses to ask, each once. Of a name with addresses of both
// kinds only those of IPv4 are asked: the others are most likely the same replicas.
func (r replicas) targets(ctx context.Context) (targets, faults []string) {
	for _, address := range r.addresses {
		host, port, _ := net.SplitHostPort(address) // checked
		if _, err := netip.ParseAddr(host); err == nil {
			targets = append(targets, address)
			continue
		}
		found, err := r.resolve(ctx, "ip4", host)
		if err != nil || len(found) == 0 {
			found, err = r.resolve(ctx, "ip6", host)
		}
		if err != nil || len(found) == 0 {
			faults = append(faults, address+": the name can't be resolved")
		}
		for _, ip := range found {
			targets = append(targets, net.JoinHostPort(ip.Unmap().String(), port))
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets), faults
}

// replica is what /readyz says of one configuration.
type replica struct {
	State  string          `json:"state"`
	Active secrets.Version `json:"active_version"`
	Staged secrets.Version `json:"staged_version"`
	Serial *uint64         `json:"serial"` // nil: this Deskmint doesn't tell
	Fault  string          `json:"fault"`
}

func (r replicas) ask(ctx context.Context, target, name string, step rotate.Step) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+target+"/readyz", nil)
	if err != nil {
		return errors.New("not an address")
	}
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer: %w", errtext.Cause(err))
	}
	defer response.Body.Close()
	var said struct {
		Ready          bool                `json:"ready"`
		Configurations *map[string]replica `json:"configurations"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxReadyz)).Decode(&said)
	if err != nil || said.Configurations == nil {
		return fmt.Errorf("it doesn't answer as a Deskmint does on its ops listener (%d)", response.StatusCode)
	}
	got, ok := (*said.Configurations)[name]
	switch {
	case !ok:
		return fmt.Errorf("it has no configuration %s: does it run with this configuration file?", name)
	case !said.Ready:
		return errors.New("it isn't ready")
	case !got.follows(step) && got.Serial != nil && *got.Serial > step.Serial && step.Serial != 0:
		return fmt.Errorf("%s; it has seen serial %d, above the store's %d: a later change has overtaken this one, or the store was restored from a backup. After a restore, `deskmint secret adopt` makes it take the store as it is",
			got, *got.Serial, step.Serial)
	case !got.follows(step):
		return fmt.Errorf("%s", got)
	}
	return nil
}

// follows reports whether a replica stands as step leaves the store. One that is
// stale doesn't: it may have seen the move, and yet go on with the key before.
func (r replica) follows(step rotate.Step) bool {
	fit := r.State == "usable" || r.State == "disabled"
	switch step.Kind {
	case rotate.StepWrite:
		return r.Staged == step.Version && fit
	case rotate.StepDisable:
		return r.State == "disabled"
	case rotate.StepEnable:
		return r.State == "usable"
	default:
		return r.Active == step.Version && fit && (r.Serial == nil || *r.Serial >= step.Serial)
	}
}

// String is what a replica says, fit for a terminal.
func (r replica) String() string {
	text := fmt.Sprintf("it is %s, with version %d active", r.State, r.Active)
	if r.Staged != 0 {
		text += fmt.Sprintf(" and version %d staged", r.Staged)
	}
	if r.Fault != "" {
		text += ": " + r.Fault
	}
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
