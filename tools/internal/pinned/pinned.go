// Package pinned gets Go modules for something other than importing them: for
// the files they carry.
package pinned

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Download returns the folder in the module cache that holds module, written
// PATH@VERSION. Its hash must be sum, which is the h1 line that a go.sum would
// have: such a module is in no go.mod, so nothing else pins it.
func Download(ctx context.Context, module, sum string) (dir string, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir() // outside every module: nothing is added to a go.sum
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// The go command tells of most faults in its JSON, and then fails as well.
	stdout, runErr := cmd.Output()
	var got struct{ Dir, Sum, Error string }
	if err := json.Unmarshal(stdout, &got); err != nil {
		return "", fmt.Errorf("downloading %s: %w: %s", module, runErr, strings.TrimSpace(stderr.String()))
	}
	switch {
	case got.Error != "":
		return "", fmt.Errorf("downloading %s: %s", module, got.Error)
	case runErr != nil:
		return "", fmt.Errorf("downloading %s: %w", module, runErr)
	case got.Sum != sum:
		return "", fmt.Errorf("%s has the hash %s, but %s is pinned", module, got.Sum, sum)
	}
	return got.Dir, nil
}
