package main

import (
	"context"
	"fmt"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

type renderCommand struct {
	Language string `placeholder:"TAG" help:"Language of the page (BCP 47). Default: the brand's."`
	userFlags
	clientFlags
}

// Run prints the page. It carries a token: it is good for one sign-in, within
// three minutes.
func (c renderCommand) Run(ctx context.Context, std streams) error {
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
