package vaulttest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// Snapshot returns a backup of the cluster's whole storage, as `vault operator raft snapshot
// save` writes it.
func (n *Node) Snapshot(t testing.TB) []byte {
	t.Helper()
	snapshot, err := n.raw(http.MethodGet, "sys/storage/raft/snapshot", nil)
	if err != nil {
		t.Fatalf("vaulttest: taking a snapshot: %v", err)
	}
	return snapshot
}

// Restore restores the whole storage from a snapshot, and waits until Vault serves again.
func (n *Node) Restore(t testing.TB, snapshot []byte) {
	t.Helper()
	if _, err := n.raw(http.MethodPost, "sys/storage/raft/snapshot", snapshot); err != nil {
		t.Fatalf("vaulttest: restoring a snapshot: %v", err)
	}
	if err := n.process.await("serving again", func() bool { return n.active() && n.ready() }); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
}

// DoRaw is like [Server.Do], but sends body unchanged.
func (s *Server) DoRaw(t testing.TB, method, path string, body []byte) {
	t.Helper()
	if _, err := s.raw(method, path, body); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
}

func (s *Server) raw(method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequest(method, s.Addr+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("X-Vault-Token", s.RootToken)
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %d: %s", method, path, response.StatusCode, answer)
	}
	return answer, err
}
