//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package file

import (
	"errors"
	"io/fs"
	"os"
)

var errSystem = errors.New("on this system secrets files can be read, but not written by command: edit the file")

func lock(string) (unlock func(), err error) { return nil, errSystem }

func writable(string) error { return errSystem }

func own(*os.File, fs.FileInfo) error { return errSystem }
