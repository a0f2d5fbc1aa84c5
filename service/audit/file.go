package audit

import (
	"io"
	"os"
	"syscall"
	"time"
)

// openFile opens a file for appending, and reports whether the file ends within a line. The process
// that wrote to it last may have been killed.
//
// A FIFO without a reader is an error (O_NONBLOCK). Otherwise opening it would wait, and a reload
// would wait with it.
func openFile(path string) (f *os.File, torn bool, err error) {
	f, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, false, err
	}
	wait := func() { <-time.After(20 * time.Millisecond) }
	return f, endsWithin(f, wait), nil
}

// endsWithin reports whether the last line of a file has no end, and still has none after a moment.
// When another process appends to the file, a part of the line can be visible before the rest (on
// Linux, if a write crosses pages). If the file can't be read, endsWithin returns true, because an
// additional empty line does no harm.
func endsWithin(f *os.File, wait func()) bool {
	for range 3 {
		if !lacksLineEnd(f) {
			return false
		}
		wait()
	}
	return true
}

// lacksLineEnd reports whether a file isn't empty and its last byte isn't a line end.
func lacksLineEnd(f *os.File) bool {
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
