package deploy

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const dockerfile = "../../deploy/Dockerfile"

// TestDockerfile parses the Dockerfile as BuildKit does, and checks what the chart requires of the
// image. A warning of BuildKit is a fault.
func TestDockerfile(t *testing.T) {
	for _, fault := range imageFaults(t, read(t, dockerfile)) {
		t.Error(fault)
	}
}

// TestDockerfileFaults changes the Dockerfile, and checks that each change is reported.
func TestDockerfileFaults(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"an unknown instruction": {"EXPOSE", "EXPOSED", "unknown instruction"},
		"an unknown stage":       {"--from=build /out", "--from=built /out", "no stage built"},
		"root":                   {"USER 65532:65532\n", "", "USER"},
		"a name":                 {"USER 65532:65532", "USER deskmint", "USER"},
		"a shell":                {`ENTRYPOINT ["/deskmint"]`, "ENTRYPOINT /deskmint", "ENTRYPOINT"},
		"another base":           {"FROM scratch", "FROM debian:12", "scratch"},
		"C":                      {"CGO_ENABLED=0", "CGO_ENABLED=1", "CGO_ENABLED=0"},
		"no authorities": {
			"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt\n", "",
			"ca-certificates",
		},
		"an older Go": {"golang:1.26", "golang:1.25", "go.mod"},
		"any Go":      {"golang:1.26.8-bookworm", "golang:latest", "go.mod"},
	} {
		t.Run(name, func(t *testing.T) {
			text := read(t, dockerfile)
			changed := strings.ReplaceAll(text, c.old, c.new)
			if changed == text {
				t.Fatalf("nothing has %q", c.old)
			}
			if found := strings.Join(imageFaults(t, changed), "\n"); !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

// imageFaults returns the faults of a Dockerfile.
func imageFaults(t *testing.T, text string) (out []string) {
	t.Helper()
	parsed, err := parser.Parse(bytes.NewBufferString(text))
	if err != nil {
		return []string{err.Error()}
	}
	warn := func(rule, description, _ string, message string, _ []parser.Range) {
		out = append(out, rule+": "+message+": "+description)
	}
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{Warn: warn}))
	if err != nil {
		return []string{err.Error()}
	}
	report := func(ok bool, fault string) {
		if !ok {
			out = append(out, fault)
		}
	}
	names := []string{}
	for _, s := range stages {
		for _, command := range s.Commands {
			if c, ok := command.(*instructions.CopyCommand); ok && c.From != "" {
				report(slices.Contains(names, c.From), "there is no stage "+c.From+" to copy from")
			}
		}
		names = append(names, s.Name)
	}
	report(strings.Contains(text, "CGO_ENABLED=0"),
		"the program isn't built with CGO_ENABLED=0, and scratch has no libraries")
	report(strings.Contains(stages[0].BaseName, "golang:"+goVersion(t)),
		stages[0].BaseName+" isn't the version of Go in go.mod")
	last := stages[len(stages)-1]
	report(last.BaseName == "scratch", "the base of the image is "+last.BaseName+", want scratch")
	report(strings.Contains(last.SourceCode, "scratch"), "the base of the last stage isn't scratch")
	user, entry, authorities := "", "", false
	for _, command := range last.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.EntrypointCommand:
			if !c.PrependShell {
				entry = strings.Join(c.CmdLine, " ")
			}
		case *instructions.CopyCommand:
			authorities = authorities || strings.HasSuffix(c.DestPath, "ca-certificates.crt")
		}
	}
	report(regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user),
		"USER is "+user+": give numbers that aren't root's")
	report(entry == "/deskmint", "ENTRYPOINT is not the program itself")
	report(authorities, "there are no ca-certificates to verify Vault or an issuer")
	return out
}

// goVersion returns the language version of the product's go.mod, such as 1.26.
func goVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(text)
	if found == nil {
		t.Fatal("go.mod has no version of Go")
	}
	return string(found[1])
}
