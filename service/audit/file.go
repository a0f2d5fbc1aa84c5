package audit

import (
	"io"
	"os"
	"syscall"
	"time"
)

// openFile opens a file to append to, and says whether it ends within a line: whoever
// wrote there last may have been killed.
//
// A FIFO that nobody reads yet is an error (O_NONBLOCK), where opening it would
// otherwise wait, and a reload with it.
func openFile(path string) (f *os.File, torn bool, err error) {
	f, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, false, err
	}
	moment := func() { <-time.After(20 * time.Millisecond) }
	return f, endsWithin(f, moment), nil
}

// endsWithin is true for a file whose last line has no end, and still has none a moment
// later: of what another process is about to append a part can be seen before the rest
// (on Linux, where a write crosses pages). One that can't be read may be such: an empty
// line more does no harm.
func endsWithin(f *os.File, moment func()) bool {
	for range 3 {
		if !cut(f) {
			return false
		}
		moment()
	}
	return true
}

func cut(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	r, err := os.Open(f.Name())
	if err != nil {
		return true
	}
	defer r.Close()
	last := make([]byte, 1)
	if _, err := r.Seek(-1, io.SeekEnd); err != nil {
		return true
	}
	_, err = r.Read(last)
	return err != nil || last[0] != '\n'
}
