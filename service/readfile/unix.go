//go:build unix

package readfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const nonblock = syscall.O_NONBLOCK | syscall.O_NOCTTY

// maxLinks is the maximum number of symbolic links in a path. Linux has the same limit.
const maxLinks = 40

// groupOrOthers are the permissions by which someone other than the owner can change a folder.
const groupOrOthers fs.FileMode = 0o022

// CheckOwners returns an error if someone other than this process's user and root can replace the
// file at path. It checks the owners of the file, of every folder above it and of every symbolic
// link on the way to it, and the permissions of the folders, as OpenSSH does for authorized_keys. A
// folder with the sticky bit may be writable, because only the owner of a file can replace the
// file there. The error says what to do.
//
// CheckOwners doesn't check the permissions of the file itself.
func CheckOwners(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	rest := components(path)
	at, links := "/", 0
	if err := checkEntry(at, os.Geteuid()); err != nil {
		return err
	}
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		if err := checkEntry(next, os.Geteuid()); err != nil {
			return err
		}
		target, err := os.Readlink(next)
		if errors.Is(err, syscall.EINVAL) { // no link
			at = next
			continue
		}
		if links++; err == nil && links > maxLinks {
			err = syscall.ELOOP
		}
		if err != nil {
			return err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		// The target isn't cleaned, because `..` after a link leads to the parent of its target.
		rest = append(components(target), rest...)
	}
	return nil
}

// components returns the names in a path.
func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// checkEntry checks a file, a folder or a symbolic link. user is the ID of this process's user.
func checkEntry(path string, user int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int64(stat.Uid) != int64(user) {
		return fmt.Errorf("%s belongs to user %d, who can replace the file: it must belong to root or to user %d, "+
			"who runs this: chown -h %[3]d %[1]s", path, stat.Uid, user)
	}
	if mode := info.Mode(); mode.IsDir() && mode&fs.ModeSticky == 0 && mode.Perm()&groupOrOthers != 0 {
		return fmt.Errorf("the permissions of the folder %s (%#o) let other users replace the file: chmod go-w %[1]s",
			path, mode.Perm())
	}
	return nil
}
