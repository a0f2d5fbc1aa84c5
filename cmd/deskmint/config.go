package main

import (
	"errors"
	"fmt"

	"github.com/deskmint/deskmint/service/config"
	"github.com/deskmint/deskmint/service/text"
)

type configCommand struct {
	Check  configCheckCommand  `cmd:"" help:"Validate a file and all that it includes, without starting anything."`
	Schema configSchemaCommand `cmd:"" help:"Print the JSON Schema of configuration files, for editors."`
}

type configCheckCommand struct {
	File string `arg:"" help:"The configuration file."`
}

// Run prints every problem with its file, line and key, or that there is none.
func (c configCheckCommand) Run(std streams) error {
	snapshot, err := config.Load(c.File, config.Options{})
	var problems *config.ProblemsError
	switch {
	case errors.As(err, &problems):
		for _, p := range problems.Problems {
			fmt.Fprintln(std.err, p)
		}
		return errRefused
	case err != nil:
		return err
	}
	for _, w := range snapshot.Warnings {
		fmt.Fprintln(std.err, "warning:", w)
	}
	_, err = fmt.Fprintf(std.out, "%s: ok, %s\n", c.File, text.Count(len(snapshot.Names()), "configuration"))
	return err
}

type configSchemaCommand struct {
	// File is accepted for symmetry with `config check FILE`, and ignored. There is only one
	// schema.
	File string `arg:"" optional:"" hidden:""`
}

// Run prints the schema.
func (configSchemaCommand) Run(std streams) error {
	_, err := std.out.Write(config.Schema())
	return err
}
