//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package file

import (
	"errors"
	"io/fs"
	"os"
)

var errUnsupported = errors.New("commands can't write secrets files on this operating system: edit the file by hand")

func lock(string) (unlock func(), err error) { return nil, errUnsupported }

func checkWritable(string) error { return errUnsupported }

func copyOwner(*os.File, fs.FileInfo) error { return errUnsupported }
