package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is a running server that is measured.
type process struct {
	name   string
	cmd    *exec.Cmd
	output map[string]string // the lines NAME=VALUE that it printed before "ready"
	ready  time.Duration     // the time from its start to that line
	errors *bytes.Buffer
}

// start starts a command, and waits until it prints the line "ready".
func start(ctx context.Context, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, output: make(map[string]string), errors: &bytes.Buffer{}}
	cmd.Stderr = p.errors
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	ready := make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			line := lines.Text()
			if line == "ready" {
				p.ready = time.Since(began)
				ready <- nil
				_, _ = io.Copy(io.Discard, stdout)
				return
			}
			if key, value, ok := strings.Cut(line, "="); ok {
				p.output[key] = value
			}
		}
		ready <- fmt.Errorf("%s ended before it was ready", name)
	}()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(20 * time.Minute):
		err = fmt.Errorf("%s isn't ready", name)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%w: %s", err, p.errors)
	}
	return p, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	ended := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-ended
	}
}

// tick is the kernel's unit of processor time. It is USER_HZ, 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// processor returns the processor time of a process, in user and kernel, of all threads together
// (proc_pid_stat(5)).
func (p *process) processor() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name before the parenthesis may contain spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	kernel, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+kernel) * tick, err
}

// memory returns the resident set of the process, in bytes.
func (p *process) memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no VmRSS for %s", p.name)
}
