// Package pinned downloads Go modules for the files in them, and not to import them.
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

// Download returns the folder of a module in the module cache. module is PATH@VERSION. sum is the
// h1 hash of the module, as a go.sum has it. It is required because no go.mod pins such a module.
func Download(ctx context.Context, module, sum string) (dir string, err error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir() // outside every module, so that no go.sum changes
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	// The go command reports most errors in its JSON, and then also fails.
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
