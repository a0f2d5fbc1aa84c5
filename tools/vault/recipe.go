package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// Of the versions tried, the one that can be built from published modules.
const (
	version = "v1.20.2"
	sum     = "h1:IOXW0/dmkxuTx3uXJJy6aT8Ml0WihxLcQwCEs6lPATg=" // as go.sum has it
)

// recipe names all that decides what the binary is. The last word counts up when
// the repairs or build flags below change.
const recipe = version + " " + sum + " 1"

// goModEdits makes the copy's go.mod take the published sdk and api, which are
// the nearest to what this version was built with.
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

// repair mends the places where the published sdk differs from the one that this
// version was written against.
func repair(tree string) error {
	replacements := []struct{ file, old, new string }{
		{ // one parameter more
			"plugins/database/mysql/connection_producer.go",
			"GetCloudSQLAuthOptions(credentials, false)",
			"GetCloudSQLAuthOptions(credentials, false, false)",
		},
		// Post-quantum keys are not in the published sdk, nor in this edition.
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
			return fmt.Errorf("%s: %q stands there %d times, not once", r.file, r.old, n)
		}
		b = bytes.ReplaceAll(b, []byte(r.old), []byte(r.new))
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(tree, "vault", "deskmint_rotation.go"), []byte(rotation), 0o600)
}

// rotation gives Vault's system view the one method that the published sdk asks
// for beyond what this version has.
const rotation = `package vault

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/rotation"
)

func (d dynamicSystemView) GetRotationInformation(context.Context, *rotation.RotationInfoRequest) (*rotation.RotationInfoResponse, error) {
	return nil, errors.New("rotation information is not available in this build")
}
`
