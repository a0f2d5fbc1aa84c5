package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/deskmint/deskmint/service/policy"
)

// TestIndexOfGrants compares the index of a caller's grants with a search through all of them, for
// random grants. The order of the grants is that of the file.
func TestIndexOfGrants(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names, actions := []string{"a", "b", "c", "*"}, []policy.Action{policy.Read, policy.Inspect, policy.Report}
	for range 500 {
		var grants []policy.GrantSettings
		for range random.IntN(6) {
			var g policy.GrantSettings
			for _, name := range names {
				if random.IntN(3) == 0 {
					g.Configurations = append(g.Configurations, name)
				}
			}
			for _, a := range actions {
				if random.IntN(2) == 0 {
					g.Actions = append(g.Actions, a)
				}
			}
			grants = append(grants, g)
		}
		p, err := policy.New(map[string][]policy.GrantSettings{"shop": grants},
			func(_ string, i int) string { return fmt.Sprint(i) })
		if err != nil {
			t.Fatal(err)
		}
		wanted := []policy.Action{policy.Read, policy.Report}[:1+random.IntN(2)]
		var readable []string
		for _, name := range []string{"a", "b", "c", "d"} {
			var want []string
			for i, g := range grants {
				named := slices.Contains(g.Configurations, name) || slices.Contains(g.Configurations, "*")
				lacks := func(a policy.Action) bool { return !slices.Contains(g.Actions, a) }
				if named && !slices.ContainsFunc(wanted, lacks) {
					want = append(want, fmt.Sprint(i))
				}
			}
			matching, err := p.Matching("shop", name, wanted...)
			var got []string
			for _, g := range matching {
				got = append(got, g.Place)
			}
			if !slices.Equal(got, want) || (err == nil) != (len(want) > 0) {
				t.Fatalf("%+v: %s at %s: %v, %v; want %v", grants, wanted, name, got, err, want)
			}
			if m, _ := p.Matching("shop", name, policy.Read); len(m) > 0 {
				readable = append(readable, name)
			}
		}
		named, all := p.Named("shop", policy.Read)
		slices.Sort(named)
		if all != slices.Contains(readable, "d") || !all && !slices.Equal(named, readable) {
			t.Fatalf("%+v: Named returned %v, %v; want %v", grants, named, all, readable)
		}
	}
}

// TestCallerRate checks that a caller's rate is the default, unless one of its grants has a higher
// one.
func TestCallerRate(t *testing.T) {
	rates := func(rates ...*policy.Rate) (all []policy.GrantSettings) {
		for _, r := range rates {
			all = append(all, policy.GrantSettings{Configurations: []string{"*"}, Rate: r})
		}
		return all
	}
	p, err := policy.New(map[string][]policy.GrantSettings{
		"none": nil, "default": rates(nil), "low": rates(&policy.Rate{PerSecond: 0.5}),
		"high":  rates(nil, &policy.Rate{PerSecond: 1000}, &policy.Rate{PerSecond: 1}),
		"burst": rates(&policy.Rate{PerSecond: 1, Burst: 900}),
	}, func(string, int) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	for caller, want := range map[string]policy.Rate{
		"none": policy.DefaultRate(), "default": policy.DefaultRate(), "low": policy.DefaultRate(),
		"unknown": policy.DefaultRate(), "high": {PerSecond: 1000, Burst: 1000}, "burst": {PerSecond: 200, Burst: 900},
	} {
		if got := p.CallerRate(caller); got != want {
			t.Errorf("%s: %v, want %v", caller, got, want)
		}
	}
}
