//go:build unix

package connections

import "syscall"

// maxDescriptors returns how many files and connections the process may have open. 0 means that
// this is unknown.
func maxDescriptors() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // FreeBSD has a signed number
}
