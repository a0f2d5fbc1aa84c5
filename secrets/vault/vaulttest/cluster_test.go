package vaulttest

import "testing"

// TestCluster checks that another server becomes the leader if the leader is killed, that the data
// are preserved, and that the killed server can start again.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := StartCluster(t, 3)
	first := c.Leader(t)
	first.Put(t, "sso/acme", map[string]string{"shared_secret": "one"})
	first.Kill()
	second := c.Leader(t)
	if second == first {
		t.Fatal("the killed server is still the leader")
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
