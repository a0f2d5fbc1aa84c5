//go:build !linux

package browsertest

import "os/exec"

// endTogether does nothing, because only Linux can end a program with its parent.
func endTogether(*exec.Cmd) {}
