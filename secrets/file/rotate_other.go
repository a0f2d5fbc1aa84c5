//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package file

import (
	"errors"
	"io/fs"
	"os"
)

var errUnsupported = errors.New("on this system secrets files can be read, but not written by command: edit the file")

func lock(string) (unlock func(), err error) { return nil, errUnsupported }

func checkWritable(string) error { return errUnsupported }

func copyOwner(*os.File, fs.FileInfo) error { return errUnsupported }
