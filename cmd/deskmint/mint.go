package main

import (
	"context"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
)

type mintCommand struct {
	userFlags
	clientFlags
}

// Run prints the whole response.
func (c mintCommand) Run(ctx context.Context, std streams) error {
	request, err := c.request(std)
	if err != nil {
		return err
	}
	return c.call(ctx, func(ctx context.Context, client pb.TokenServiceClient) error {
		response, err := client.MintToken(ctx, request)
		if err != nil {
			return err
		}
		return printJSON(std, response)
	})
}
