package main

import (
	"fmt"

	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/config"
)

type explainCommand struct {
	Config string `required:"" placeholder:"FILE" help:"The configuration file."`
	Caller string `required:"" placeholder:"NAME" help:"The caller's name in it."`
	userFlags
}

// Run prints the decision and the rule that it follows from. It uses neither the store nor a
// running service, so it doesn't notice a secret that can't be read.
func (c explainCommand) Run(std streams) error {
	snapshot, err := config.Load(c.Config, config.Options{})
	if err != nil {
		return err
	}
	request, err := c.request(std)
	if err != nil {
		return err
	}
	explained, err := service.Explain(snapshot, c.Caller, request)
	if err != nil {
		return err
	}
	if explained.Allowed {
		_, err := fmt.Fprintf(std.out, "allowed by %s\n", explained.Rule)
		return err
	}
	fmt.Fprintf(std.out, "refused: %s\n", explained.Reason)
	if explained.Rule != "" {
		fmt.Fprintf(std.out, "  rule: %s\n", explained.Rule)
	}
	for _, f := range explained.Fields {
		fmt.Fprintf(std.out, "  %s %s\n", f.Field, f.Description)
	}
	return errRefused
}
