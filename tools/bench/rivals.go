package main

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed rival.js
var rivalJS []byte

// nodeServer starts a backend such as many companies have today, with express and jsonwebtoken, and
// with the secret in the environment. It also checks no credential and keeps no record.
func (b *bench) nodeServer(ctx context.Context) (*process, error) {
	script := filepath.Join(b.dir, "rival.js")
	if err := os.WriteFile(script, rivalJS, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(b.node, "node_modules"), "NODE_ENV=production",
		"SECRET="+floorSecret)
	return b.start(ctx, "node", cmd)
}

// vaultServer starts a Vault that has an HMAC key in its transit engine. The Vault is unsealed and
// in memory, and has neither TLS nor audit.
func (b *bench) vaultServer(ctx context.Context) (*process, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.vault, "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token",
		"-dev-listen-address="+address, "-log-level=error")
	cmd.Env = append(os.Environ(), "HOME="+b.dir)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: "vault", cmd: cmd, output: map[string]string{"http": address}}
	b.running = append(b.running, p)
	for _, step := range []struct{ path, body string }{
		{"sys/mounts/transit", `{"type":"transit"}`},
		{"transit/keys/sso", `{"type":"hmac","key_size":48}`},
	} {
		if err := untilAnswered(ctx, "http://"+address+"/v1/"+step.path, step.body); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func untilAnswered(ctx context.Context, address, body string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("X-Vault-Token", "root")
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode < http.StatusBadRequest {
				return nil
			}
			err = fmt.Errorf("%s responds %s", address, answer.Status)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// transit signs a token with Vault, as a backend does that has no secret. The cost of the backend
// itself is not included.
func transit(p *process) requestKind {
	return caller{server: p}.post("/v1/transit/hmac/sso/sha2-256", `"hmac"`, func() string {
		email, name := person()
		payload, err := json.Marshal(floorClaims{time.Now().Unix(), "jti", email, name, "shop-9", []string{"vip"}})
		if err != nil {
			panic(err) // no payload of the benchmark can fail
		}
		return `{"input":"` + base64.StdEncoding.EncodeToString([]byte(base64.RawURLEncoding.EncodeToString(payload))) +
			`"}`
	}, "x-vault-token", "root")
}
