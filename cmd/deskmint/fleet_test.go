//go:build long

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFleet is what a rotation and a failing Vault look like from outside, to people
// who keep signing in: three replicas, 200 sign-ins a second, one raft Vault of three servers.
func TestFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	t.Run("rotation", f.rotation)
	t.Run("refresh", f.refresh)
	t.Run("leader killed", f.leaderKilled)
	t.Run("permission lost", f.permissionLost)
	t.Run("vault away", f.vaultAway)
	for _, d := range f.replicas {
		d.silent(t, f.key, f.token, "MARKER", "hvs.")
	}
}

// rotation: whatever is done to the pointer, every token verifies under the version that its answer
// names, and a command that waits returns when no replica signs with the version before.
func (f *fleet) rotation(t *testing.T) {
	f.begin(t)
	f.load.follows(t, time.Now(), "version 1", signedBy(1))
	f.stages(t, 2, f.await()...)
	for _, act := range []struct {
		name    string
		flags   []string
		version uint32
	}{
		{"activate", nil, 2},
		{"rollback", nil, 1},
		{"activate", []string{"--version", "2"}, 2},
	} {
		began := time.Now()
		out := f.secret(t, act.name, "", append(act.flags, f.await()...)...)
		returned := time.Now()
		if !strings.Contains(out, "3 of 3 replicas follow") {
			t.Errorf("%s: %s", act.name, out)
		}
		f.load.follows(t, began, "the new version", signedBy(act.version))
		f.load.follows(t, returned, "a sign-in since the command has returned", func(minted) bool { return true })
		for i, lane := range f.load.all() {
			if slices.ContainsFunc(lane, func(m minted) bool { return m.began.After(returned) && m.version != act.version }) {
				t.Errorf("%s returned, and lane %d signed with the version before", act.name, i)
			}
		}
	}
	f.finish(t, 1, 2, 1, 2)
}

// refresh: a replica that is asked signs with the new version when it has answered. The others
// follow, though no command waits for them.
func (f *fleet) refresh(t *testing.T) {
	f.begin(t)
	f.load.follows(t, time.Now(), "version 2", signedBy(2))
	for i, want := range []uint32{1, 2, 1, 2} {
		if want == 1 {
			f.secret(t, "rollback", "")
		} else {
			f.secret(t, "activate", "", "--version", "2")
		}
		asked, began := f.replicas[i%len(f.replicas)], time.Now()
		got := asked.post(t, f.key, "/v1/configurations/acme-customers:refreshSecret", "{}")
		var said struct {
			After struct{ ActiveVersion uint32 }
		}
		if err := json.Unmarshal([]byte(got.body), &said); err != nil || said.After.ActiveVersion != want {
			t.Errorf("RefreshSecret: %d %s, want version %d", got.status, got.body, want)
		}
		if m := asked.post(t, f.key, "/v1/configurations/acme-customers:mintToken", anaJSON); m.signed != want {
			t.Errorf("asked, and signs with version %d, want %d", m.signed, want)
		}
		f.load.follows(t, began, "the new version", signedBy(want))
	}
	f.finish(t, 2, 1, 2, 1, 2)
}

// leaderKilled: nobody who signs in notices, and the store can be worked with as soon as another
// server leads.
func (f *fleet) leaderKilled(t *testing.T) {
	f.begin(t)
	f.load.follows(t, time.Now(), "version 2", signedBy(2))
	killed := f.vault.Leader(t)
	killed.Kill()
	f.vault.Leader(t)
	f.stages(t, 3, f.await()...)
	f.secret(t, "activate", "", f.await()...)
	f.load.follows(t, time.Now(), "version 3", signedBy(3))
	killed.Start(t)
	f.vault.Leader(t).StepDown(t)
	f.vault.Leader(t)
	f.secret(t, "rollback", "", f.await()...)
	f.load.follows(t, time.Now(), "version 2", signedBy(2))
	f.steady(t, "after two changes of the leader")
	f.finish(t, 2, 3, 2)
}

// permissionLost: taking the policy away is a kill switch, and giving it back ends it.
func (f *fleet) permissionLost(t *testing.T) {
	f.begin(t)
	f.load.follows(t, time.Now(), "version 2", signedBy(2))
	policy := readFile(t, "../../deploy/vault/service.hcl")
	f.vault.Leader(t).Policy(t, "deskmint", `path "elsewhere" { capabilities = ["read"] }`)
	f.load.follows(t, time.Now(), "a refusal", func(m minted) bool { return m.reason == "SECRET_UNUSABLE" })
	f.steady(t, "without permission")
	f.vault.Leader(t).Policy(t, "deskmint", policy)
	f.load.follows(t, time.Now(), "a sign-in", signedBy(2))
	f.load.stop()
	for i, lane := range f.load.all() {
		f.once(t, i, lane, "SECRET_UNUSABLE")
	}
}

// once holds a lane to sign-ins, then refusals for one reason alone, then sign-ins again.
func (f *fleet) once(t *testing.T, i int, lane []minted, reason string) {
	t.Helper()
	begin := slices.IndexFunc(lane, func(m minted) bool { return m.reason != "" })
	end := begin + slices.IndexFunc(lane[begin:], func(m minted) bool { return m.reason == "" })
	for _, m := range lane[begin:end] {
		if m.reason != reason {
			t.Errorf("lane %d: refused for %s, want %s", i, m.reason, reason)
		}
	}
	for _, m := range lane[end:] {
		if m.reason != "" {
			t.Errorf("lane %d: refused again, for %s", i, m.reason)
		}
	}
}

// vaultAway: what is held serves until max_stale and no longer; then callers are told when to come
// again, and it ends by itself.
func (f *fleet) vaultAway(t *testing.T) {
	f.begin(t)
	f.load.follows(t, time.Now(), "version 2", signedBy(2))
	for _, n := range f.vault.Nodes {
		n.Kill()
	}
	killed := time.Now()
	f.load.follows(t, killed, "a refusal", func(m minted) bool { return m.reason != "" })
	f.steady(t, "beyond max_stale")
	confirmed := make([]time.Time, len(f.replicas)) // when a refresh succeeded for the last time, in whole seconds
	for i, d := range f.replicas {
		_, all := d.readyz(t)
		confirmed[i] = all["acme-customers"].Success
	}
	returned := time.Now()
	for _, n := range f.vault.Nodes {
		n.Start(t)
	}
	f.vault.Leader(t)
	f.load.follows(t, time.Now(), "a sign-in", signedBy(2))
	f.load.stop()
	for i, lane := range f.load.all() {
		f.once(t, i, lane, "SECRET_UNAVAILABLE")
		stale := confirmed[i/lanes].Add(fleetMaxStale)
		for _, m := range lane {
			if m.reason != "" && m.ended.Before(stale) {
				t.Errorf("lane %d: refused %v before max_stale was over", i, stale.Sub(m.ended))
			}
			if m.reason == "" && m.began.After(stale.Add(time.Second)) && m.ended.Before(returned) {
				t.Errorf("lane %d: signed %v after max_stale was over", i, m.began.Sub(stale))
			}
			if m.reason != "" && !m.retry {
				t.Errorf("lane %d: a refusal without RetryInfo", i)
			}
		}
	}
}
