//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package file

import (
	"io/fs"
	"os"
	"syscall"
)

// lock excludes other writers of files in dir until unlock is called or the process ends. It does
// not wait. It locks the folder, because the file itself is replaced, and a lock file would remain
// after a crash.
//
// unlock releases the lock explicitly. It isn't enough to close the descriptor, because a lock
// lasts as long as any copy of the descriptor. A child process has a copy from its fork to its
// exec.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = d.Close()
		return nil, err
	}
	return func() {
		_ = syscall.Flock(int(d.Fd()), syscall.LOCK_UN) // nothing is left to do if it fails
		_ = d.Close()
	}, nil
}

// checkWritable returns the reason why no file can be created in dir.
func checkWritable(dir string) error {
	const write, search = 2, 1
	return syscall.Access(dir, write|search)
}

// copyOwner sets the owner and the group of f to those of the file that it replaces.
func copyOwner(f *os.File, like fs.FileInfo) error {
	want, ok := like.Sys().(*syscall.Stat_t)
	info, err := f.Stat()
	if err != nil || !ok {
		return err
	}
	if have, ok := info.Sys().(*syscall.Stat_t); ok && have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
