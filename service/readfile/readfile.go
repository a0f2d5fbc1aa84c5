// Package readfile reads the files that an operator names: configuration, secrets, keys,
// certificates and tokens.
//
// It reads regular files only. Opening a FIFO without a writer would block the reader forever, a
// device may have no end, and opening some devices has an effect.
package readfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// MaxSmall is the maximum size of keys, certificates, tokens and other small files, in bytes. It is
// several times the size of the public certificate authorities of the world in one file.
const MaxSmall = 1 << 20

// Small reads a regular file of at most [MaxSmall] bytes.
func Small(path string) ([]byte, error) { return File(path, MaxSmall) }

// File reads a regular file of at most max bytes. All errors but the one for a file that is too
// large are [*fs.PathError]s.
func File(path string, max int64) ([]byte, error) {
	f, _, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > max {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, max)
	}
	return text, nil
}

// Open opens a regular file for reading. It never blocks. The information is that of the open file,
// because the path may name another file by now.
func Open(path string) (*os.File, fs.FileInfo, error) {
	// Stat comes first, because opening a device can have an effect.
	info, err := os.Stat(path)
	if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
		return nil, nil, &fs.PathError{Op: "open", Path: path, Err: pathError.Err}
	}
	if err == nil {
		err = checkRegular(path, info)
	}
	if err != nil {
		return nil, nil, err
	}
	// The path may name another file than before. Without O_NONBLOCK, opening a FIFO would block.
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = checkRegular(path, info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// irregularError says that a path names something other than a regular file.
type irregularError struct{ what string }

func (e irregularError) Error() string {
	return "is " + e.what + ", not a regular file: write the content to a file, and name that one"
}

// IsIrregular reports whether an error of this package says that a path names something other than
// a regular file.
func IsIrregular(err error) bool {
	return errors.As(err, new(irregularError))
}

func checkRegular(path string, info fs.FileInfo) error {
	var err error
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		err = irregularError{"a directory"}
	case mode&fs.ModeNamedPipe != 0:
		err = irregularError{"a FIFO"}
	case mode&fs.ModeSocket != 0:
		err = irregularError{"a socket"}
	default:
		err = irregularError{"a device"}
	}
	return &fs.PathError{Op: "read", Path: path, Err: err}
}
