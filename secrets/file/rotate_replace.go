package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// readOnly returns the reason why the file can't be replaced, or nil.
func (t text) readOnly() error {
	if t.info != nil && t.info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("the file is read-only (%#o): if it is meant to be changed here, then chmod u+w %s",
			t.info.Mode().Perm(), t.path)
	}
	if err := checkWritable(filepath.Dir(t.path)); err != nil {
		return unwritable(t.path, err)
	}
	return nil
}

// unwritable returns an error that says why a file can't be replaced, and what to do.
func unwritable(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s is on a read-only mount (a Kubernetes Secret?): change it at its source, then the pods "+
			"follow: %w", path, err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%s is itself a mount, which can't be replaced by a rename: mount its folder instead, or "+
			"change it on the host: %w", path, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the folder of %s doesn't exist: create it: %w", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not write in the folder of %s, or not keep the file's owner: do this as the file's "+
			"owner: %w", path, err)
	}
	return fmt.Errorf("replacing %s: %w", path, err)
}

// replace replaces the file with data. It keeps the mode and the owner.
func (t text) replace(data []byte) (err error) {
	dir := filepath.Dir(t.path)
	temporary, err := os.CreateTemp(dir, "."+filepath.Base(t.path)+".*") // 0600
	if err != nil {
		return unwritable(t.path, err)
	}
	defer func() {
		_ = temporary.Close()
		if err != nil {
			_ = os.Remove(temporary.Name())
			err = unwritable(t.path, err)
		}
	}()
	if t.info != nil {
		if err := copyOwner(temporary, t.info); err != nil {
			return err
		}
		if err := temporary.Chmod(t.info.Mode().Perm()); err != nil {
			return err
		}
	}
	if _, err := temporary.Write(data); err != nil {
		return err
	}
	if err := temporary.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), t.path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes the rename durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
