// Package release checks .goreleaser.yaml with the types of GoReleaser, strictly, and checks the
// properties that a release must have. The types are in a separate module, because GoReleaser
// requires three hundred modules, among them the clients of every cloud.
package release

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

const file = "../../.goreleaser.yaml"

func TestRelease(t *testing.T) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults(string(text)) {
		t.Error(fault)
	}
}

// TestReleaseFaults changes the file, and checks that each change is reported.
func TestReleaseFaults(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"a misspelt key":     {"wrap_in_directory", "wrap_in_folder", "wrap_in_folder"},
		"an old version":     {"version: 2", "version: 1", "version"},
		"C":                  {"[CGO_ENABLED=0]", "[]", "CGO_ENABLED=0"},
		"paths of a machine": {"-trimpath, ", "", "-trimpath"},
		"a version by -X":    {"ldflags: [-s -w]", "ldflags: [-X main.version=1]", "-X"},
		"a missing platform": {"[linux, darwin, windows]", "[linux, darwin]", "windows"},
		"a missing CPU":      {"[amd64, arm64]", "[amd64]", "arm64"},
		"no program":         {"./cmd/deskmint\n", "./cmd/deskmynt\n", "cmd/deskmynt"},
		"no signature":       {"artifacts: checksum", "artifacts: sbom", "no checksums are signed"},
		"no list of parts":   {"artifacts: archive", "artifacts: none", "no SBOM"},
		"other files":        {"deploy/systemd/*", "deploy/systemctl/*", "deploy/systemctl/*"},
		"no draft":           {"draft: true", "draft: false", "draft"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.ReplaceAll(string(text), c.old, c.new)
			if changed == string(text) {
				t.Fatalf("nothing has %q", c.old)
			}
			if found := strings.Join(faults(changed), "\n"); !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

// faults returns the faults of a release.
func faults(text string) (out []string) {
	report := func(ok bool, fault string) {
		if !ok {
			out = append(out, fault)
		}
	}
	project, err := config.LoadReader(strings.NewReader(text))
	if err != nil {
		return []string{err.Error()}
	}
	report(project.Version == 2, "version is not 2")
	report(len(project.Builds) == 1, "there must be one build")
	for _, b := range project.Builds {
		report(slices.Contains(b.Env, "CGO_ENABLED=0"), "a build without CGO_ENABLED=0")
		report(slices.Contains(b.Flags, "-trimpath"), "a build without -trimpath")
		report(!strings.Contains(strings.Join(b.Ldflags, " "), "-X"),
			"a version by -X, and `deskmint version` prints Go's own")
		for _, system := range []string{"linux", "darwin", "windows"} {
			report(slices.Contains(b.Goos, system), "no build for "+system)
		}
		for _, processor := range []string{"amd64", "arm64"} {
			report(slices.Contains(b.Goarch, processor), "no build for "+processor)
		}
		_, err := os.Stat(filepath.Join("../..", b.Main))
		report(err == nil, b.Main+" is not there")
	}
	for _, a := range project.Archives {
		for _, f := range a.Files {
			found, err := filepath.Glob(filepath.Join("../..", f.Source))
			report(err == nil && len(found) > 0, f.Source+" is not there")
		}
	}
	report(!project.Checksum.Disable && project.Checksum.Algorithm == "sha256", "no checksums")
	report(slices.ContainsFunc(project.Signs,
		func(s config.Sign) bool { return s.Cmd == "cosign" && s.Artifacts == "checksum" }), "no checksums are signed")
	report(slices.ContainsFunc(project.SBOMs, func(s config.SBOM) bool { return s.Artifacts == "archive" }),
		"no SBOM of the archives")
	report(project.Release.Draft, "a release that isn't a draft is public before a review")
	return out
}
