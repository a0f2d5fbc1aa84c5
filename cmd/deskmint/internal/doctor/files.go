package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/readfile"
)

// permissions checks who may read the files with secrets, and who may change the files that the
// service trusts.
func (e *examination) permissions(path string, s *config.Snapshot) {
	e.mode("the configuration file", path, 0, 0o002)
	vault := s.Secrets.Vault.Auth
	secret := map[string]string{"audit.email_key_file": s.Audit.EmailKeyFile}
	if s.TLS != nil {
		secret["tls.key"] = s.TLS.Key
	}
	if s.Secrets.Source == "vault" { // Kubernetes sets the mode of its token file itself
		secret["secrets.vault.auth.token_file"] = vault.TokenFile
		secret["secrets.vault.auth.secret_id_file"] = vault.SecretIDFile
		secret["secrets.vault.auth.jwt_file"] = vault.JWTFile
	}
	for _, key := range slices.Sorted(maps.Keys(secret)) {
		if secret[key] != "" {
			e.mode(key, secret[key], 0o004, 0o022)
			e.owners(key, secret[key])
		}
	}
}

// mode checks the permissions of a file. The bits in wrong let others change it, which is a fault.
// The bits in private let others read it. That is only a warning, because a container's mount may
// need them.
func (e *examination) mode(key, path string, private, wrong fs.FileMode) {
	where := key + ": " + path
	f, info, err := readfile.Open(path)
	if err != nil {
		e.fault(where, causeOf(err),
			"create the file, or let the service's user read it; run this command as that user")
		return
	}
	_ = f.Close()
	mode := info.Mode().Perm()
	do := fmt.Sprintf("chmod %o %s", mode&^wrong, path)
	if private != 0 {
		do = readfile.Narrow(path, info)
	}
	switch {
	case mode&wrong != 0:
		e.fault(where, fmt.Sprintf("its permissions (%#o) let others change it", mode), do)
	case mode&private != 0:
		e.warn(where, fmt.Sprintf("its permissions (%#o) let every user of this machine read it", mode), do)
	default:
		e.ok(where, fmt.Sprintf("its permissions (%#o) are narrow enough", mode))
	}
}

// owners checks who may replace a file with a secret. It reports nothing if no one else can.
func (e *examination) owners(key, path string) {
	err := readfile.CheckOwners(path)
	if pathError := (*fs.PathError)(nil); err == nil || errors.As(err, &pathError) { // which mode has reported
		return
	}
	what, do, _ := strings.Cut(err.Error(), ": ")
	e.fault(key+": "+path, what, do)
}

// auditOutput checks whether audit records can be written. It leaves nothing behind.
func (e *examination) auditOutput(s *config.Snapshot) {
	const do = "let the service's user write there: without a record nothing is signed"
	out := s.Audit.Output
	where := "audit.output: " + out
	switch info, err := os.Stat(out); {
	case out == "" || out == "stdout" || out == "stderr":
		e.ok("audit.output", "records go to a stream of the process")
		return
	case err == nil && info.IsDir():
		e.fault(where, "it is a folder", "name a file")
		return
	case err == nil && !info.Mode().IsRegular():
		e.ok(where, "it is no regular file, and isn't opened here: a pipe's reader would notice")
		return
	case err == nil:
		f, err := os.OpenFile(out, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			e.fault(where, causeOf(err), do)
			return
		}
		_ = f.Close()
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			e.warn(where, fmt.Sprintf("its permissions (%#o) let others change what is on record", mode),
				fmt.Sprintf("chmod %o %s", mode&^0o022, out))
			return
		}
	default:
		f, err := os.CreateTemp(filepath.Dir(out), ".deskmint-doctor-*")
		if err != nil {
			e.fault(where, causeOf(err), do)
			return
		}
		_, _ = f.Close(), os.Remove(f.Name())
	}
	e.ok(where, "records can be written")
}
