package vaulttest

import "testing"

// A killed leader's place is taken, what was written stays, and it comes back.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	first := c.Leader(t)
	first.Put(t, "sso/acme", map[string]string{"shared_secret": "one"})
	first.Kill()
	second := c.Leader(t)
	if second == first {
		t.Fatal("a dead server leads")
	}
	if n := second.Put(t, "sso/acme", map[string]string{"shared_secret": "two"}); n != 2 {
		t.Errorf("version %d, want 2", n)
	}
	first.Start(t)
	second.StepDown(t)
	third := c.Leader(t)
	for _, n := range c.Nodes {
		if n := n.Put(t, "sso/acme", map[string]string{"shared_secret": "more"}); n < 3 {
			t.Errorf("version %d", n)
		}
	}
	third.Seal(t)
	third.Unseal(t)
	c.Leader(t)
}
