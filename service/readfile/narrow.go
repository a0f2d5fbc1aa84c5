package readfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TooOpen are the permissions that a file with a secret must not have: writing for the group, and
// reading and writing for others. The group may read it, because a volume of Kubernetes belongs to
// root, and the service reads it as a member of the group.
const TooOpen fs.FileMode = 0o026

// Narrow says how to take the permissions TooOpen from the file at path. If the file belongs to this
// process's user, no one else needs to read it. In a volume of Kubernetes, only the volume can have
// other permissions.
func Narrow(path string, info fs.FileInfo) string {
	if link, err := os.Lstat(filepath.Join(filepath.Dir(path), "..data")); err == nil &&
		link.Mode()&fs.ModeSymlink != 0 {
		return "give the volume defaultMode: 0440, and the pod a securityContext with an fsGroup"
	}
	keep := fs.FileMode(0o740)
	if owned(info) {
		keep = 0o700
	}
	return fmt.Sprintf("chmod %o %s", info.Mode().Perm()&keep, path)
}
