package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

type inspectCommand struct {
	Configuration string `required:"" placeholder:"NAME" help:"The configuration to check the token against."`
	JSON          bool   `help:"Print the whole response as JSON."`
	clientFlags
}

// Run prints whether Zendesk would accept a token, and fails if it wouldn't. It reads the token
// from standard input. A token is a credential, so it must not be an argument.
func (c inspectCommand) Run(ctx context.Context, std streams) error {
	token, err := read("-", std)
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(token))) == 0 {
		return errors.New("no token on standard input")
	}
	request := &pb.InspectTokenRequest{
		Configuration: "configurations/" + strings.TrimPrefix(c.Configuration, "configurations/"),
		Token:         strings.TrimSpace(string(token)),
	}
	return c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) error {
		response, err := client.InspectToken(ctx, request)
		if err != nil {
			return err
		}
		if err := c.print(std, response); err != nil {
			return err
		}
		if !response.GetAcceptable() {
			return errRefused
		}
		return nil
	})
}

func (c inspectCommand) print(std streams, r *pb.InspectTokenResponse) error {
	if c.JSON {
		return printJSON(std, r)
	}
	if r.GetAcceptable() {
		_, err := fmt.Fprintf(std.out, "acceptable until %s, signed with version %d\n",
			r.GetExpireTime().AsTime().Format("15:04:05 MST"), r.GetSecretVersion())
		return err
	}
	for _, p := range r.GetProblems() {
		part := strings.ToLower(strings.TrimPrefix(p.GetPart().String(), "TOKEN_PART_"))
		fmt.Fprintf(std.out, "%s: %s\n", part, strings.TrimSpace(p.GetName()+" "+p.GetDescription()))
	}
	return nil
}
