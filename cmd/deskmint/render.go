package main

import (
	"context"
	"errors"
	"fmt"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

type renderCommand struct {
	Language string `placeholder:"TAG" help:"Language of the page (BCP 47). Default: the brand's."`
	Preview  bool   `help:"Offline: print a brand's page from --config. The page has no token."`
	Config   string `placeholder:"FILE" help:"With --preview: the configuration file."`
	State    string `placeholder:"STATE" enum:",${states}" default:"" help:"With --preview: ${states}."`
	Problem  string `placeholder:"KIND" enum:",${problems}" default:"" help:"With --preview: ${problems}."`
	userFlags
	clientFlags
}

// Run prints the page. The page contains a token, which is valid for one sign-in within three
// minutes. A preview contains none.
func (c renderCommand) Run(ctx context.Context, std streams) error {
	if c.Preview {
		return c.preview(std)
	}
	if c.Config != "" || c.Problem != "" || c.State != "" {
		return errors.New("--config, --state and --problem are for --preview")
	}
	r, err := c.request(std)
	if err != nil {
		return err
	}
	request := &pb.RenderFormRequest{
		Configuration: r.Configuration, BrandId: r.BrandId, User: r.User, ReturnTo: r.ReturnTo, ClientIp: r.ClientIp,
		SecretVersion: r.SecretVersion, Attempt: r.Attempt, ValidateOnly: r.ValidateOnly, Language: c.Language,
	}
	return c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) error {
		response, err := client.RenderForm(ctx, request)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(std.out, response.GetHtml())
		return err
	})
}
