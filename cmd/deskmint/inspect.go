package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deskmint/deskmint/cmd/deskmint/internal/inspection"
	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

type inspectCommand struct {
	Configuration string `placeholder:"NAME" xor:"judge" help:"Ask a service, for this configuration."`
	SecretFile    string `placeholder:"FILE" xor:"judge" help:"Ask no service: the secret is in this file."`
	TokenFile     string `placeholder:"FILE" default:"-" help:"The token. Default: standard input."`
	JSON          bool   `help:"Print the whole response as JSON."`
	clientFlags
}

// Help returns the text that kong adds to the command's help.
func (inspectCommand) Help() string {
	return "The input is a token, a form body (jwt=…), a URL, a page with a form, or what `deskmint mint` prints. " +
		"A token is a credential, so it is never an argument. Exit codes: 0 Zendesk would accept the token, 1 it " +
		"wouldn't or the command failed, 2 the command line is at fault."
}

// Run prints whether Zendesk would accept a token, and fails if it wouldn't.
func (c inspectCommand) Run(ctx context.Context, std streams) error {
	if c.Configuration == "" && c.SecretFile == "" {
		return usage("give --configuration, to ask a service, or --secret-file")
	}
	token, err := c.token(std)
	if err != nil {
		return err
	}
	if c.SecretFile != "" {
		response, warnings, err := inspection.Offline(token, c.SecretFile, time.Now())
		if err != nil {
			return fmt.Errorf("--secret-file: %w", err)
		}
		printWarnings(std, warnings...)
		return c.print(std, response, "the secret in "+c.SecretFile)
	}
	request := &pb.InspectTokenRequest{
		Configuration: "configurations/" + strings.TrimPrefix(c.Configuration, "configurations/"),
		Token:         token,
	}
	return c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) error {
		response, err := client.InspectToken(ctx, request)
		if err != nil {
			return err
		}
		return c.print(std, response, fmt.Sprintf("version %d", response.GetSecretVersion()))
	})
}

// token reads the input and finds the token in it.
func (c inspectCommand) token(std streams) (string, error) {
	text, err := read(c.TokenFile, std)
	where := "on standard input"
	if c.TokenFile != "-" {
		where = "in " + c.TokenFile
	}
	switch {
	case err != nil:
		return "", err
	case len(strings.TrimSpace(string(text))) == 0:
		return "", errors.New("no token " + where)
	}
	input, err := inspection.Parse(string(text))
	if err != nil {
		return "", fmt.Errorf("the text %s: %w", where, err)
	}
	if input.InURL {
		printWarnings(std, "the token is in a URL, which Zendesk has deprecated: histories, proxies and logs keep "+
			"URLs. Post it as the field jwt of a form")
	}
	return input.Token, nil
}

func printWarnings(std streams, warnings ...string) {
	for _, warning := range warnings {
		fmt.Fprintln(std.err, "warning:", warning)
	}
}

func (c inspectCommand) print(std streams, r *pb.InspectTokenResponse, key string) error {
	var err error
	if c.JSON {
		err = printJSON(std, r)
	} else {
		err = inspection.Print(std.out, r, key)
	}
	if err == nil && !r.GetAcceptable() {
		err = errRefused
	}
	return err
}
