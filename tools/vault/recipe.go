package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// This is the one version, of those tried, that can be built from published modules.
const (
	version = "v1.20.2"
	sum     = "h1:IOXW0/dmkxuTx3uXJJy6aT8Ml0WihxLcQwCEs6lPATg=" // as go.sum has it
)

// recipe identifies everything that determines the binary. Increase the last number when the
// repairs or the build flags below change.
const recipe = version + " " + sum + " 1"

// goModEdits returns the edits of the copy's go.mod. They require the published sdk and api that
// are nearest to those of this version.
func goModEdits() []string {
	return []string{
		"-dropreplace=github.com/hashicorp/vault/api",
		"-dropreplace=github.com/hashicorp/vault/api/auth/approle",
		"-dropreplace=github.com/hashicorp/vault/api/auth/kubernetes",
		"-dropreplace=github.com/hashicorp/vault/api/auth/userpass",
		"-dropreplace=github.com/hashicorp/vault/sdk",
		"-require=github.com/hashicorp/vault/api@v1.22.0",
		"-require=github.com/hashicorp/vault/sdk@v0.19.0",
	}
}

// repair changes the places where the published sdk differs from the one of this version.
func repair(tree string) error {
	replacements := []struct{ file, old, new string }{
		{ // the function has another parameter
			"plugins/database/mysql/connection_producer.go",
			"GetCloudSQLAuthOptions(credentials, false)",
			"GetCloudSQLAuthOptions(credentials, false, false)",
		},
		// The published sdk and the open version of Vault have no post-quantum keys.
		{"builtin/logical/transit/backend.go", "p.Type.IsPQC()", "false"},
		{"builtin/logical/transit/path_keys.go", "polReq.KeyType.IsPQC()", "false"},
	}
	for _, r := range replacements {
		path := filepath.Join(tree, filepath.FromSlash(r.file))
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := bytes.Count(b, []byte(r.old)); n != 1 {
			return fmt.Errorf("%s: %q is there %d times, not once", r.file, r.old, n)
		}
		b = bytes.ReplaceAll(b, []byte(r.old), []byte(r.new))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(tree, "vault", "deskmint_rotation.go"), []byte(rotation), 0o600)
}

// rotation adds the one method to Vault's system view that the published sdk requires and this
// version lacks.
const rotation = `package vault

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/rotation"
)

func (d dynamicSystemView) GetRotationInformation(
	context.Context, *rotation.RotationInfoRequest,
) (*rotation.RotationInfoResponse, error) {
	return nil, errors.New("rotation information is not available in this build")
}
`
