package service_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	pb "github.com/deskmint/deskmint/proto/deskmint/v1"
	"github.com/deskmint/deskmint/secrets"
	"github.com/deskmint/deskmint/secrets/memory"
	"github.com/deskmint/deskmint/service"
	"github.com/deskmint/deskmint/service/audit"
)

// BenchmarkRead measures requests that read configurations, with 1 and with 5,000 configurations.
// The caller storefront may read one of them, and the caller everything all. A benchmark also
// reports its time as a multiple of that with one configuration. These ratios are valid on other
// machines, too, unlike the times.
func BenchmarkRead(b *testing.B) {
	const many = 5000
	first := make(map[string]float64)
	for _, n := range []int{1, many} {
		conn := readConn(b, n)
		last := fmt.Sprint(n) // the brand of the last configuration
		for _, c := range []struct {
			name, key, method string
			in                proto.Message
			out               proto.Message
		}{
			{"resolve one by brand", "dmk_storefront", pb.ConfigurationService_ResolveConfiguration_FullMethodName,
				&pb.ResolveConfigurationRequest{BrandId: last}, &pb.ResolveConfigurationResponse{}},
			{"resolve one by default", "dmk_storefront", pb.ConfigurationService_ResolveConfiguration_FullMethodName,
				&pb.ResolveConfigurationRequest{}, &pb.ResolveConfigurationResponse{}},
			{"resolve all by brand", "dmk_everything", pb.ConfigurationService_ResolveConfiguration_FullMethodName,
				&pb.ResolveConfigurationRequest{BrandId: last}, &pb.ResolveConfigurationResponse{}},
			{"resolve all by host", "dmk_everything", pb.ConfigurationService_ResolveConfiguration_FullMethodName,
				&pb.ResolveConfigurationRequest{ReturnTo: "https://help" + last + ".acme.com/"},
				&pb.ResolveConfigurationResponse{}},
			{"get", "dmk_everything", pb.ConfigurationService_GetConfiguration_FullMethodName,
				&pb.GetConfigurationRequest{Name: "configurations/" + manyName(n-1)}, &pb.Configuration{}},
			{"list one", "dmk_storefront", pb.ConfigurationService_ListConfigurations_FullMethodName,
				&pb.ListConfigurationsRequest{}, &pb.ListConfigurationsResponse{}},
			{"list a page of 1 of all", "dmk_everything", pb.ConfigurationService_ListConfigurations_FullMethodName,
				&pb.ListConfigurationsRequest{PageSize: 1}, &pb.ListConfigurationsResponse{}},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					ctx := metadata.AppendToOutgoingContext(b.Context(), "authorization", "Bearer "+c.key)
					if err := conn.Invoke(ctx, c.method, c.in, c.out); err != nil {
						b.Fatal(err)
					}
				}
				each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
				if n == 1 {
					first[c.name] = each
				}
				if first[c.name] > 0 {
					b.ReportMetric(each/first[c.name], "×one")
				}
			})
		}
	}
}

// readConn returns an in-process connection to a service with n configurations.
func readConn(b *testing.B, n int) grpc.ClientConnInterface {
	b.Helper()
	snapshot := parse(b, manyConfigurations(n))
	store := &memory.Store{}
	for i := range n {
		store.Put(manyName(i), "shared_secret", []byte(customersSecret))
	}
	ring := secrets.NewKeyring(secrets.Options{Source: store, MaxRate: 1e6})
	if err := ring.Warm(context.Background(), snapshot.Refs()...); err != nil {
		b.Fatal(err)
	}
	s, err := service.New(service.Options{
		Snapshot: snapshot, Secrets: ring, Audit: audit.New(io.Discard, snapshot.Audit, nil),
	})
	if err != nil {
		b.Fatal(err)
	}
	_, conn, err := s.InProcess()
	if err != nil {
		b.Fatal(err)
	}
	return conn
}
