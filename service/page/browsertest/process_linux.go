package browsertest

import (
	"os/exec"
	"syscall"
)

// endTogether ends the programs that a program starts when it is ended. It also ends the program
// when the test binary ends without running its cleanups.
func endTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
