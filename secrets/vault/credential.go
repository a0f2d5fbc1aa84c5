package vault

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/deskmint/deskmint/service/readfile"
)

// lookupPath is the path at which method token checks its token.
const lookupPath = "auth/token/lookup-self"

// loginPath returns the path of a login by a method other than token.
func (a Auth) loginPath() string {
	mount := a.Mount
	if mount == "" {
		mount = a.Method
	}
	return "auth/" + mount + "/login"
}

// act describes the login in errors.
func (a Auth) act() string {
	if a.Method == "token" {
		return "looking up the token at " + lookupPath
	}
	return "logging in at " + a.loginPath()
}

// credential returns the fields of a login request, or the token of method token. It reads the
// files at each call, because some credentials, such as projected service-account tokens, are
// replaced about every hour.
func (a Auth) credential() (map[string]string, error) {
	switch a.Method {
	case "token":
		if a.TokenFile == "" {
			token, err := printable(api.EnvVaultToken, os.Getenv(api.EnvVaultToken))
			return map[string]string{"token": token}, err
		}
		token, err := credential("token_file", a.TokenFile)
		return map[string]string{"token": token}, err
	case "approle":
		roleID, err := a.RoleID, error(nil)
		if a.RoleIDFile != "" {
			roleID, err = credential("role_id_file", a.RoleIDFile)
		}
		secretID, secretErr := credential("secret_id_file", a.SecretIDFile)
		return map[string]string{"role_id": roleID, "secret_id": secretID}, errors.Join(err, secretErr)
	case "kubernetes", "jwt":
		jwt, err := credential("jwt_file", a.jwtFile())
		return map[string]string{"role": a.Role, "jwt": jwt}, err
	}
	return nil, fmt.Errorf("unknown method %q", a.Method)
}

func (a Auth) jwtFile() string {
	if a.JWTFile == "" && a.Method == "kubernetes" {
		return ServiceAccountToken
	}
	return a.JWTFile
}

// files returns the files that hold the credential.
func (a Auth) files() []string {
	files := []string{a.TokenFile, a.RoleIDFile, a.SecretIDFile, a.jwtFile()}
	return slices.DeleteFunc(files, func(file string) bool { return file == "" })
}

// digest is a hash of a credential. It shows whether a credential has changed, and doesn't keep the
// credential in memory.
type digest [sha256.Size]byte

func digestOf(fields map[string]string) digest {
	text, _ := json.Marshal(fields) // sorts the keys, and can't fail
	return sha256.Sum256(text)
}

// credential reads a credential from a file.
func credential(key, file string) (string, error) {
	content, err := readfile.Small(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return printable(fmt.Sprintf("%s: %s", key, file), string(content))
}

// printable trims a credential. It returns an error for one that can't be sent in a header.
func printable(source, credential string) (string, error) {
	credential = strings.TrimSpace(credential)
	if credential == "" {
		return "", fmt.Errorf("%s is empty", source)
	}
	if strings.ContainsFunc(credential, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s has white space or other characters in it that no credential has", source)
	}
	return credential, nil
}
