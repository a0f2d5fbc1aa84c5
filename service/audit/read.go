package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"time"
)

// maxLine is the maximum length of a line in bytes. Records are shorter, because the size of
// requests is limited. Readers skip longer lines, so that they need little memory for any file.
const maxLine = 1 << 20

// Summary describes the lines that [ReadRecords] has read.
type Summary struct {
	Records     int
	Others      int       // lines that are neither empty nor records, such as torn ones
	First, Last time.Time // the earliest and latest time of the records
}

// Add adds the lines that another summary describes.
func (s *Summary) Add(other Summary) {
	s.Records += other.Records
	s.Others += other.Others
	for _, at := range []time.Time{other.First, other.Last} {
		s.note(at)
	}
}

func (s *Summary) note(at time.Time) {
	if at.IsZero() {
		return
	}
	if s.First.IsZero() || at.Before(s.First) {
		s.First = at
	}
	if at.After(s.Last) {
		s.Last = at
	}
}

// Decompress returns the content of r. If r is a gzip file, it decompresses the content.
func Decompress(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := b.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return b, nil // the first read returns an error of Peek again
	}
	return gzip.NewReader(b)
}

// ReadRecords calls each with every record in r and with the record's unchanged line, without the
// line end. Both are valid until each returns. It skips other lines. It ends at the first error of
// r or of each.
func ReadRecords(r io.Reader, each func(line []byte, r *Record) error) (Summary, error) {
	var (
		s     Summary
		lines = bufio.NewReaderSize(r, 64<<10)
		line  []byte
	)
	for {
		var err error
		if line, err = readLine(lines, line[:0]); err != nil && !errors.Is(err, io.EOF) {
			return s, err
		}
		ended := err != nil
		record, ok := parse(line)
		switch {
		case ok:
			s.Records++
			s.note(record.Time)
			if err := each(line, &record); err != nil {
				return s, err
			}
		case len(line) > 0:
			s.Others++
		}
		if ended {
			return s, nil
		}
	}
}

// readLine appends the next line to buffer, without the line end. If the line is too long, readLine
// returns only the beginning, which isn't a record. It returns the last line with io.EOF.
func readLine(r *bufio.Reader, buffer []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(buffer) <= maxLine {
			buffer = append(buffer, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimRight(buffer, "\r\n"), err
		}
	}
}

// parse decodes a line. It returns false if the line isn't a record.
func parse(line []byte) (r Record, ok bool) {
	if len(line) == 0 || len(line) > maxLine || line[0] != '{' {
		return r, false
	}
	err := json.Unmarshal(line, &r)
	return r, err == nil && r.Schema > 0 && r.Decision != ""
}
