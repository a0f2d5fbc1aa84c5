// Package secretinput reads a shared secret that an operator gives to a command, in a file or on
// standard input.
package secretinput

import (
	"bytes"
	"fmt"
	"io"
)

// maxSecret is far longer than any secret. Longer input is the wrong file.
const maxSecret = 64 << 10

// Read reads a secret to its end, and removes one line end, which most editors and echo add. Any
// further line ends are left to the check of the secret. name names the input in errors, which
// contain no part of it.
func Read(in io.Reader, name string) ([]byte, error) {
	secret, err := io.ReadAll(io.LimitReader(in, maxSecret+1))
	if err != nil {
		return nil, err // of a file, with its name
	}
	if len(secret) > maxSecret {
		return nil, fmt.Errorf("%s holds more than %d KiB: that is no secret", name, maxSecret>>10)
	}
	if line, ok := bytes.CutSuffix(secret, []byte("\n")); ok {
		secret = bytes.TrimSuffix(line, []byte("\r"))
	}
	return secret, nil
}
