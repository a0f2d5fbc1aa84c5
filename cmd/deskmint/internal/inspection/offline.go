package inspection

import (
	"fmt"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/secretinput"
	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/readfile"
	"github.com/deskmint/deskmint/service/zendesk/inspect"
)

// Offline judges a token by the secret in a file, as the service would without a configuration. The
// warnings are about the file. No text contains a part of the token or of the secret.
func Offline(token, file string, now time.Time) (r *pb.InspectTokenResponse, warnings []string, err error) {
	key, warnings, err := readKey(file)
	if err != nil {
		return nil, nil, err
	}
	return service.InspectTokenResponse(inspect.Token(nil, token, []secrets.Key{key}, now)), warnings, nil
}

func readKey(path string) (key secrets.Key, warnings []string, err error) {
	f, info, err := readfile.Open(path)
	if err != nil {
		return key, nil, err
	}
	defer f.Close()
	value, err := secretinput.Read(f, path)
	if err != nil {
		return key, nil, err
	}
	key, err = secrets.NewKey(1, value)
	if err != nil {
		what := strings.TrimPrefix(err.Error(), secrets.ErrUnusable.Error()+": version 1 ")
		return key, nil, fmt.Errorf("the secret in %s %s", path, what)
	}
	if mode := info.Mode().Perm(); mode&0o004 != 0 {
		warnings = append(warnings, fmt.Sprintf("the permissions of %s (%#o) let every user of this machine "+
			"read it: %s", path, mode, readfile.Narrow(path, info)))
	}
	if fault := key.PasteFault(); fault != "" {
		warnings = append(warnings, fmt.Sprintf("the secret in %s may have been pasted wrongly: the value %s", path,
			fault))
	}
	return key, warnings, nil
}
