// A receiver of metrics in the OpenTelemetry protocol, made of its official Go modules: it prints each request as a line of JSON.
//
//	otlp-receiver HOST:PORT [CERT KEY]   serves; with files of a certificate and its key, over TLS
//	otlp-receiver encode                 reads a request as JSON from standard input and writes it as protobuf
package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

type receiver struct {
	collector.UnimplementedMetricsServiceServer
}

type line struct {
	Event   string          `json:"event"`
	Headers metadata.MD     `json:"headers,omitempty"`
	Request json.RawMessage `json:"request,omitempty"`
}

func (receiver) Export(
	ctx context.Context,
	request *collector.ExportMetricsServiceRequest,
) (*collector.ExportMetricsServiceResponse, error) {
	text, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	headers, _ := metadata.FromIncomingContext(ctx)
	return &collector.ExportMetricsServiceResponse{}, report(line{"request", headers, text})
}

func report(what line) error {
	return json.NewEncoder(os.Stdout).Encode(what)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	if os.Args[1] == "encode" {
		encode()
		return
	}
	options := []grpc.ServerOption{}
	if len(os.Args) > 3 {
		secure, err := credentials.NewServerTLSFromFile(os.Args[2], os.Args[3])
		must(err)
		options = append(options, grpc.Creds(secure))
	}
	listener, err := net.Listen("tcp", os.Args[1])
	must(err)
	server := grpc.NewServer(options...)
	collector.RegisterMetricsServiceServer(server, receiver{})
	must(report(line{Event: "ready"}))
	must(server.Serve(listener))
}

func encode() {
	text, err := io.ReadAll(os.Stdin)
	must(err)
	request := &collector.ExportMetricsServiceRequest{}
	must(protojson.Unmarshal(text, request))
	bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	must(err)
	_, err = os.Stdout.Write(bytes)
	must(err)
}
