package vaulttest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Cluster is a running Vault of several servers that share their storage by raft. It has a KV v2
// engine at the mount `secret`. Its methods end the test if they fail. They must not be called
// concurrently.
type Cluster struct {
	Nodes []*Node
}

// Node is one server of a Cluster. A standby forwards requests to the leader.
type Node struct {
	Server // has RootToken and methods that write

	binary, config string
	clusterAddr    string // the address for the other servers
	unsealKey      string
	process        *process
}

// StartCluster starts n servers. They end with the test at the latest. Start describes which binary
// is used.
func StartCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	binary := findBinary(t)
	return retryStart(t, func() (*Cluster, error) { return startCluster(t, binary, n) })
}

func startCluster(t testing.TB, binary string, n int) (*Cluster, error) {
	c := &Cluster{}
	for i := range n {
		node, err := newNode(t, binary, fmt.Sprintf("node-%d", i))
		if err != nil {
			return nil, err
		}
		if i == 0 {
			err = node.initialise()
		} else {
			err = node.join(c.Nodes[0])
		}
		if err != nil {
			return nil, fmt.Errorf("server %d of %d: %w: %s", i, n, err, node.process.output)
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c, c.awaitVoters()
}

// awaitVoters waits until every server has a vote. Before that, the cluster fails if the first
// server ends. By default Vault gives the vote late.
func (c *Cluster) awaitVoters() error {
	first := c.Nodes[0]
	if _, err := first.request(http.MethodPost, "sys/storage/raft/autopilot/configuration",
		map[string]any{"server_stabilization_time": "1s"}); err != nil {
		return err
	}
	return first.process.await("in a cluster in which all servers vote", func() bool {
		status, answer, err := first.send(http.MethodGet, "sys/storage/raft/configuration", nil)
		if err != nil || status != http.StatusOK {
			return false
		}
		servers := answer["data"].(map[string]any)["config"].(map[string]any)["servers"].([]any)
		return len(servers) == len(c.Nodes) && !slices.ContainsFunc(servers,
			func(s any) bool { return s.(map[string]any)["voter"] != true })
	})
}

// newNode starts a server with an empty storage.
func newNode(t testing.TB, binary, name string) (*Node, error) {
	api, err := freeAddress()
	if err != nil {
		return nil, err
	}
	raft, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir := t.TempDir()
	node := &Node{Server: Server{Addr: "http://" + api}, binary: binary, config: filepath.Join(dir, "vault.hcl"),
		clusterAddr: raft}
	text := fmt.Sprintf(`
		storage "raft" {
			path                   = %q
			node_id                = %q
			performance_multiplier = 1 # short election timeouts, as Vault's documentation recommends for production
		}
		listener "tcp" {
			address         = %q
			cluster_address = %q
			tls_disable     = true
		}
		api_addr      = %q
		cluster_addr  = "https://%s"
		disable_mlock = true
	`, dir, name, api, raft, node.Addr, raft)
	if err := os.WriteFile(node.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return node, node.launch(t)
}

func (n *Node) launch(t testing.TB) (err error) {
	if n.process, err = launch(t, n.binary, "server", "-config="+n.config); err != nil {
		return err
	}
	return n.process.await("listening", func() bool {
		_, _, err := n.send(http.MethodGet, "sys/seal-status", nil)
		return err == nil
	})
}

// initialise initialises the first server as a cluster of one, and mounts an engine for secrets.
func (n *Node) initialise() error {
	answer, err := n.request(http.MethodPut, "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1})
	if err != nil {
		return err
	}
	n.RootToken = answer["root_token"].(string)
	n.unsealKey = answer["keys"].([]any)[0].(string)
	if err := errors.Join(n.unseal(), n.process.await("active", n.active)); err != nil {
		return err
	}
	if _, err := n.request(http.MethodPost, "sys/mounts/secret",
		map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}); err != nil {
		return err
	}
	return n.process.await("ready", n.ready)
}

// join adds another server to the cluster of first.
func (n *Node) join(first *Node) error {
	n.RootToken, n.unsealKey = first.RootToken, first.unsealKey
	if _, err := n.request(http.MethodPost, "sys/storage/raft/join",
		map[string]any{"leader_api_addr": first.Addr}); err != nil {
		return err
	}
	return n.unseal()
}

// unseal unseals the server, and waits until it serves or forwards requests. It first waits until
// the cluster port is free. A Vault that is unsealed before its last cluster listener has closed
// the port logs that it can't listen, and continues. No other server can then reach it.
func (n *Node) unseal() error {
	closed := func() bool { return !listens(n.clusterAddr) }
	if err := n.process.await("closed at "+n.clusterAddr, closed); err != nil {
		return err
	}
	if _, err := n.request(http.MethodPut, "sys/unseal", map[string]any{"key": n.unsealKey}); err != nil {
		return err
	}
	return n.process.await("unsealed", func() bool {
		status, _, err := n.send(http.MethodGet, "sys/health?standbyok=true", nil)
		return err == nil && status == http.StatusOK
	})
}

func (n *Node) request(method, path string, body any) (map[string]any, error) {
	status, answer, err := n.send(method, path, body)
	if err == nil && status >= 300 {
		err = fmt.Errorf("%s %s: %d, %v", method, path, status, answer["errors"])
	}
	return answer, err
}

// Addrs returns the addresses of all servers.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// Leader waits until the running servers agree on a leader, and returns it.
func (c *Cluster) Leader(t testing.TB) *Node {
	t.Helper()
	var leader *Node
	for _, n := range c.Nodes {
		if !n.running() {
			continue
		}
		err := n.process.await("aware of a leader", func() bool {
			_, answer, err := n.send(http.MethodGet, "sys/leader", nil)
			address, _ := answer["leader_address"].(string)
			leader = c.at(address)
			return err == nil && leader != nil && leader.running() && leader.active()
		})
		if err != nil {
			t.Fatalf("vaulttest: %s: %v", n.Addr, err)
		}
	}
	if leader == nil {
		t.Fatal("vaulttest: no server runs")
	}
	return leader
}

func (c *Cluster) at(address string) *Node {
	for _, n := range c.Nodes {
		if n.Addr == address {
			return n
		}
	}
	return nil
}

func listens(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (n *Node) running() bool {
	select {
	case <-n.process.exited:
		return false
	default:
		return true
	}
}

// active reports whether the server is the leader and has finished its takeover.
func (n *Node) active() bool {
	status, _, err := n.send(http.MethodGet, "sys/health", nil)
	return err == nil && status == http.StatusOK
}

// Kill ends the server like a crash. Start starts it again.
func (n *Node) Kill() { n.process.kill() }

// Start starts a server that was killed, with its old storage, and unseals it.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	if n.running() {
		t.Fatal("vaulttest: the server is already running")
	}
	if err := errors.Join(n.launch(t), n.unseal()); err != nil {
		t.Fatalf("vaulttest: starting again: %v", err)
	}
}

// Seal seals the server, which must be the leader. Unseal makes it serve again.
func (n *Node) Seal(t testing.TB) {
	t.Helper()
	n.Do(t, http.MethodPut, "sys/seal", nil)
}

// Unseal unseals the server.
func (n *Node) Unseal(t testing.TB) {
	t.Helper()
	if err := n.unseal(); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
}

// StepDown makes the leader give its role to another server.
func (n *Node) StepDown(t testing.TB) {
	t.Helper()
	n.Do(t, http.MethodPut, "sys/step-down", nil)
}
