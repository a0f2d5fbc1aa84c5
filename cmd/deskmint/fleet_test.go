//go:build long

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFleet checks what people who sign in notice of a rotation and of a failing Vault. There are
// three replicas, 200 sign-ins a second, and one raft Vault of three servers.
func TestFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	t.Run("rotation", f.rotation)
	t.Run("refresh", f.refresh)
	t.Run("leader killed", f.leaderKilled)
	t.Run("permission lost", f.permissionLost)
	t.Run("vault away", f.vaultAway)
	for _, d := range f.replicas {
		d.checkNoSecrets(t, f.key, f.token, "MARKER", "hvs.")
	}
}

// rotation changes the pointer in every way. Every token verifies with the version that its
// response names. A command that waits returns when no replica signs with the previous version.
func (f *fleet) rotation(t *testing.T) {
	f.startLoad(t)
	f.load.awaitAll(t, time.Now(), "version 1", signedBy(1))
	f.stage(t, 2, f.waitFlags()...)
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
		out := f.secret(t, act.name, "", append(act.flags, f.waitFlags()...)...)
		returned := time.Now()
		if !strings.Contains(out, "every replica follows (3)") {
			t.Errorf("%s: %s", act.name, out)
		}
		f.load.awaitAll(t, began, "the new version", signedBy(act.version))
		f.load.awaitAll(t, returned, "a sign-in since the command has returned", func(mintResult) bool { return true })
		for i, lane := range f.load.results() {
			if slices.ContainsFunc(lane, func(m mintResult) bool {
				return m.began.After(returned) && m.version != act.version
			}) {
				t.Errorf("%s returned, and lane %d signed with the previous version", act.name, i)
			}
		}
	}
	f.finish(t, 1, 2, 1, 2)
}

// refresh checks that a replica signs with the new version after its response to RefreshSecret. The
// other replicas follow without a command that waits for them.
func (f *fleet) refresh(t *testing.T) {
	f.startLoad(t)
	f.load.awaitAll(t, time.Now(), "version 2", signedBy(2))
	for i, want := range []uint32{1, 2, 1, 2} {
		if want == 1 {
			f.secret(t, "rollback", "")
		} else {
			f.secret(t, "activate", "", "--version", "2")
		}
		replica, began := f.replicas[i%len(f.replicas)], time.Now()
		got := replica.post(t, f.key, "/v1/configurations/acme-customers:refreshSecret", "{}")
		var parsed struct {
			After struct{ ActiveVersion uint32 }
		}
		if err := json.Unmarshal([]byte(got.body), &parsed); err != nil || parsed.After.ActiveVersion != want {
			t.Errorf("RefreshSecret: %d %s, want version %d", got.status, got.body, want)
		}
		if m := replica.post(t, f.key, "/v1/configurations/acme-customers:mintToken", anaJSON); m.signed != want {
			t.Errorf("after RefreshSecret it signs with version %d, want %d", m.signed, want)
		}
		f.load.awaitAll(t, began, "the new version", signedBy(want))
	}
	f.finish(t, 2, 1, 2, 1, 2)
}

// leaderKilled kills the leader of Vault. No sign-in fails, and the commands work again as soon as
// another server is the leader.
func (f *fleet) leaderKilled(t *testing.T) {
	f.startLoad(t)
	f.load.awaitAll(t, time.Now(), "version 2", signedBy(2))
	killed := f.vault.Leader(t)
	killed.Kill()
	f.vault.Leader(t)
	f.stage(t, 3, f.waitFlags()...)
	f.secret(t, "activate", "", f.waitFlags()...)
	f.load.awaitAll(t, time.Now(), "version 3", signedBy(3))
	killed.Start(t)
	f.vault.Leader(t).StepDown(t)
	f.vault.Leader(t)
	f.secret(t, "rollback", "", f.waitFlags()...)
	f.load.awaitAll(t, time.Now(), "version 2", signedBy(2))
	f.checkReady(t, "after two changes of the leader")
	f.finish(t, 2, 3, 2)
}

// permissionLost removes the policy, which acts as a kill switch. Restoring the policy ends it.
func (f *fleet) permissionLost(t *testing.T) {
	f.startLoad(t)
	f.load.awaitAll(t, time.Now(), "version 2", signedBy(2))
	policy := readFile(t, "../../deploy/vault/service.hcl")
	f.vault.Leader(t).Policy(t, "deskmint", `path "elsewhere" { capabilities = ["read"] }`)
	f.load.awaitAll(t, time.Now(), "a refusal", func(m mintResult) bool { return m.reason == "SECRET_UNUSABLE" })
	f.checkReady(t, "without permission")
	f.vault.Leader(t).Policy(t, "deskmint", policy)
	f.load.awaitAll(t, time.Now(), "a sign-in", signedBy(2))
	f.load.stop()
	for i, lane := range f.load.results() {
		f.once(t, i, lane, "SECRET_UNUSABLE")
	}
}

// once checks the results of a lane: sign-ins, then refusals for this reason only, then sign-ins
// again.
func (f *fleet) once(t *testing.T, i int, lane []mintResult, reason string) {
	t.Helper()
	begin := slices.IndexFunc(lane, func(m mintResult) bool { return m.reason != "" })
	end := begin + slices.IndexFunc(lane[begin:], func(m mintResult) bool { return m.reason == "" })
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

// vaultAway stops Vault. The keys that a replica holds sign until max_stale, and no longer. Then
// each refusal says when to retry. The refusals end without a restart.
func (f *fleet) vaultAway(t *testing.T) {
	f.startLoad(t)
	f.load.awaitAll(t, time.Now(), "version 2", signedBy(2))
	for _, n := range f.vault.Nodes {
		n.Kill()
	}
	killed := time.Now()
	f.load.awaitAll(t, killed, "a refusal", func(m mintResult) bool { return m.reason != "" })
	f.checkReady(t, "beyond max_stale")
	confirmed := make([]time.Time, len(f.replicas)) // the last successful refresh, in whole seconds
	for i, d := range f.replicas {
		_, all := d.readyz(t)
		confirmed[i] = all["acme-customers"].Success
	}
	returned := time.Now()
	for _, n := range f.vault.Nodes {
		n.Start(t)
	}
	f.vault.Leader(t)
	f.load.awaitAll(t, time.Now(), "a sign-in", signedBy(2))
	f.load.stop()
	for i, lane := range f.load.results() {
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
