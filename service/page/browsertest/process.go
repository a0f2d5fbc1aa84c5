package browsertest

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// environment returns the test's environment without the settings that refer to the user's desktop
// or files, and with these settings.
func environment(home string, more ...string) []string {
	var kept []string
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		switch {
		case strings.HasPrefix(name, "XDG_"), strings.HasPrefix(name, "DBUS_"), strings.HasPrefix(name, "GTK_"),
			name == "HOME", name == "DISPLAY", name == "WAYLAND_DISPLAY":
		default:
			kept = append(kept, setting)
		}
	}
	return append(append(kept, "HOME="+home, "XDG_RUNTIME_DIR="+home), more...)
}

// process is a program that a test started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	kill  context.CancelFunc
}

// startProcess starts a program. It ends at the latest when the test ends. announced is the first
// group of the first match in the program's standard error. With an empty pattern, startProcess
// doesn't wait for one.
func startProcess(
	t testing.TB, pattern string, binary string, arguments, environment []string,
) (p *process, announced string) {
	t.Helper()
	ctx, kill := context.WithTimeout(context.Background(), browserTimeout)
	p = &process{cmd: exec.CommandContext(ctx, binary, arguments...), ended: make(chan struct{}), kill: kill}
	p.cmd.Env = environment
	// A program that it started may keep the pipe open.
	p.cmd.WaitDelay = time.Second
	output := &announcement{pattern: regexp.MustCompile(pattern), found: make(chan string, 1)}
	p.cmd.Stderr = output
	endTogether(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", binary, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.end)
	if pattern == "" {
		return p, ""
	}
	select {
	case announced = <-output.found:
	case <-p.ended:
		t.Fatalf("%s ended: %v", binary, p.cmd.ProcessState)
	case <-ctx.Done():
		t.Fatalf("%s doesn't say %s", binary, pattern)
	}
	return p, announced
}

// announcement sends the first group of the first match in what is written to it.
type announcement struct {
	pattern *regexp.Regexp
	text    []byte
	found   chan string
	done    bool
}

func (a *announcement) Write(more []byte) (int, error) {
	if !a.done {
		a.text = append(a.text, more...)
		if match := a.pattern.FindSubmatch(a.text); len(match) > 1 {
			a.done = true
			a.found <- string(match[1])
		}
	}
	return len(more), nil
}

// end ends the program and waits until it has ended.
func (p *process) end() {
	p.kill()
	<-p.ended
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
