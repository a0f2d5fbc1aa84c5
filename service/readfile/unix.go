//go:build unix

package readfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	w := walk{user: os.Geteuid()}
	if err := w.check("/"); err != nil {
		return err
	}
	rest := components(path)
	for at := "/"; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		if err := w.check(next); err != nil {
			return err
		}
		target, err := os.Readlink(next)
		if errors.Is(err, syscall.EINVAL) { // no link
			at = next
			continue
		}
		if w.links++; err == nil && w.links > maxLinks {
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
	return w.fault()
}

// owned reports whether a file belongs to this process's user.
func owned(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(stat.Uid) == int64(os.Geteuid())
}

// components returns the names in a path.
func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// walk is what was found on the way to a file.
type walk struct {
	user          int // the ID of this process's user
	links         int
	foreign, open []string // the paths that belong to others, and the folders that others can write
	faults        []string // what is wrong with each of them
}

// check checks a file, a folder or a symbolic link. Its error is that of reading it.
func (w *walk) check(path string) error {
	info, err := os.Lstat(path)
	if err != nil || slices.Contains(w.foreign, path) || slices.Contains(w.open, path) {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 && int64(stat.Uid) != int64(w.user) {
		w.foreign = append(w.foreign, path)
		w.faults = append(w.faults, fmt.Sprintf("%s belongs to user %d", path, stat.Uid))
	}
	if mode := info.Mode(); mode.IsDir() && mode&fs.ModeSticky == 0 && mode.Perm()&groupOrOthers != 0 {
		w.open = append(w.open, path)
		w.faults = append(w.faults, fmt.Sprintf("the folder %s has the permissions %#o", path, mode.Perm()))
	}
	return nil
}

// fault returns everything that was found, and what to do.
func (w *walk) fault() error {
	var commands []string
	if len(w.foreign) > 0 {
		commands = append(commands, fmt.Sprintf("chown -h %d %s", w.user, strings.Join(w.foreign, " ")))
	}
	if len(w.open) > 0 {
		commands = append(commands, "chmod go-w "+strings.Join(w.open, " "))
	}
	if len(commands) == 0 {
		return nil
	}
	return fmt.Errorf("other users can replace the file, because %s: %s",
		strings.Join(w.faults, ", and "), strings.Join(commands, "; "))
}
