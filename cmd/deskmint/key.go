package main

import (
	"fmt"

	"github.com/deskmint/deskmint/service/caller"
)

type keyCommand struct {
	New keyNewCommand `cmd:"" help:"Make an API key, and print it with the hash for the configuration file."`
}

type keyNewCommand struct{}

// Run prints a new key. The key is not stored, so you can only replace a lost one.
func (keyNewCommand) Run(std streams) error {
	key, hash := caller.NewKey()
	_, err := fmt.Fprintf(std.out, `key=%s
api_key_sha256=%s
`, key, hash)
	if err == nil {
		_, err = fmt.Fprintln(std.err,
			"The key goes to the caller, and is printed only here. The hash goes into the configuration file, under "+
				"the caller's identities.")
	}
	return err
}
