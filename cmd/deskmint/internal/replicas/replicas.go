// Package replicas waits until the replicas of a service follow a change of a secret, and asks them
// what they hold.
//
// Each replica reports the state of its secrets at /readyz of its ops listener.
package replicas

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deskmint/deskmint/secrets/rotate"
)

// requestTimeout limits one request to a replica.
const requestTimeout = 2 * time.Second

// Set is the replicas of a service.
type Set struct {
	addresses []string // HOST:PORT, where the host may be a name with several addresses
	resolve   func(ctx context.Context, network, host string) ([]netip.Addr, error)
	client    *http.Client
	pause     time.Duration // between two rounds
}

// New returns the replicas with these addresses. Each is the HOST:PORT of an ops listener. A DNS
// name represents a replica at each of its addresses.
func New(addresses []string) (*Set, error) {
	for _, address := range addresses {
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("%s: must be HOST:PORT, of the ops listener", address)
		}
	}
	return &Set{
		addresses: addresses,
		resolve:   net.DefaultResolver.LookupNetIP,
		client: &http.Client{
			Timeout: requestTimeout,
			// The transport uses no proxy, because the addresses are inside the operator's network.
			Transport:     &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: requestTimeout},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pause: 200 * time.Millisecond,
	}, nil
}

// Empty reports whether the set has no replicas.
func (s *Set) Empty() bool { return len(s.addresses) == 0 }

// Await waits until every replica follows a step, and returns their number. The step is the last
// one of a change to the secret of the configuration name. If ctx ends first, the error lists the
// replicas that don't follow. Await resolves names again in each round, because replicas start and
// stop meanwhile.
func (s *Set) Await(ctx context.Context, name string, step rotate.Step) (int, error) {
	var behind []string
	for {
		count, faults := s.round(ctx, name, step)
		if len(faults) == 0 {
			return count, nil
		}
		// A round that ctx has cut short has less information than the round before.
		if ctx.Err() == nil || behind == nil {
			behind = faults
		}
		select {
		case <-ctx.Done():
			what := "not every replica follows yet"
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				what = "the wait was canceled"
			}
			return 0, fmt.Errorf("%s:\n  %s", what, strings.Join(behind, "\n  "))
		case <-time.After(s.pause):
		}
	}
}

// round checks every replica once, all of them at the same time.
func (s *Set) round(ctx context.Context, name string, step rotate.Step) (count int, faults []string) {
	targets, unresolved := s.targets(ctx)
	for _, fault := range unresolved {
		faults = append(faults, fault.address+": "+fault.text)
	}
	results := make([]string, len(targets))
	var checks sync.WaitGroup
	for i, target := range targets {
		checks.Go(func() {
			if err := s.check(ctx, target, name, step); err != nil {
				results[i] = target + ": " + err.Error()
			}
		})
	}
	checks.Wait()
	for _, fault := range results {
		if fault != "" {
			faults = append(faults, fault)
		}
	}
	return len(targets), faults
}

// unresolved is an address without a replica.
type unresolved struct{ address, text string }

// targets returns the address of every replica, without duplicates. If a name has IPv4 and IPv6
// addresses, targets uses only the IPv4 addresses, because the others most likely belong to the
// same replicas.
func (s *Set) targets(ctx context.Context) (targets []string, faults []unresolved) {
	for _, address := range s.addresses {
		host, port, _ := net.SplitHostPort(address) // New has checked it
		if _, err := netip.ParseAddr(host); err == nil {
			targets = append(targets, address)
			continue
		}
		found, err := s.resolve(ctx, "ip4", host)
		if err != nil || len(found) == 0 {
			found, err = s.resolve(ctx, "ip6", host)
		}
		if err != nil || len(found) == 0 {
			faults = append(faults, unresolved{address, "the name can't be resolved"})
		}
		for _, ip := range found {
			targets = append(targets, net.JoinHostPort(ip.Unmap().String(), port))
		}
	}
	slices.Sort(targets)
	return slices.Compact(targets), faults
}
