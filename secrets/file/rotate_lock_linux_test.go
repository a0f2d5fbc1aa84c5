package file

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// TestUnlockWhileAProgramStarts checks that unlock releases the lock although a child process has a
// copy of the descriptor. A child has copies of all descriptors between fork and exec.
func TestUnlockWhileAProgramStarts(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	fork := copyDescriptor(t, dir)
	defer syscall.Close(fork)
	if _, err := lock(dir); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Fatalf("a second lock while the first is held: %v", err)
	}
	unlock()
	unlock, err = lock(dir)
	if err != nil {
		t.Fatalf("a lock after the first was released: %v", err)
	}
	unlock()
}

// copyDescriptor duplicates the descriptor that this process has open for dir, as fork does.
func copyDescriptor(t *testing.T, dir string) int {
	t.Helper()
	const open = "/proc/self/fd"
	entries, err := os.ReadDir(open)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(open, entry.Name()))
		if err != nil || target != dir {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		duplicate, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		return duplicate
	}
	t.Fatalf("no descriptor is open for %s", dir)
	return -1
}
