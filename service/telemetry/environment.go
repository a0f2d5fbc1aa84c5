package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The protocols of OTLP that there are exporters for.
const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

const prefix = "OTEL_EXPORTER_OTLP_"

// destinations say by which protocol each signal is sent; empty: it isn't.
type destinations struct{ traces, metrics string }

// read takes from the environment what decides whether anything is sent, and checks
// what the libraries would pass over in silence, or show in a log.
func read(getenv func(string) string) (to destinations, err error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return destinations{}, nil
	}
	var tracesErr, metricsErr error
	to.traces, tracesErr = protocol(getenv, "TRACES")
	to.metrics, metricsErr = protocol(getenv, "METRICS")
	if to.traces == "" && to.metrics == "" {
		return to, errors.Join(tracesErr, metricsErr)
	}
	faults := []error{tracesErr, metricsErr, sampler(getenv("OTEL_TRACES_SAMPLER"), getenv("OTEL_TRACES_SAMPLER_ARG"))}
	for _, name := range []string{"HEADERS", "TRACES_HEADERS", "METRICS_HEADERS"} {
		if !pairs(getenv(prefix + name)) {
			faults = append(faults, fmt.Errorf("%s%s is not a list of key=value pairs, separated by commas", prefix, name))
		}
	}
	for _, name := range []string{
		prefix + "TIMEOUT", prefix + "TRACES_TIMEOUT", prefix + "METRICS_TIMEOUT", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT",
		"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT",
	} {
		if n, err := strconv.Atoi(getenv(name)); getenv(name) != "" && (err != nil || n <= 0) {
			faults = append(faults, fmt.Errorf("%s must be a whole number above 0; times are in milliseconds", name))
		}
	}
	return to, errors.Join(faults...)
}

// protocol is that of a signal, empty where it isn't sent. The specification would
// have unknown values passed over, and then everything looks right and nothing comes.
func protocol(getenv func(string) string, signal string) (string, error) {
	exporter := "OTEL_" + signal + "_EXPORTER"
	switch getenv(exporter) {
	case "", "otlp":
	case "none":
		return "", nil
	default:
		return "", fmt.Errorf("%s must be otlp or none: metrics for Prometheus are at the ops listener", exporter)
	}
	name, endpoint := first(getenv, signal, "ENDPOINT")
	if endpoint == "" {
		return "", nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s must be a URL such as https://collector.internal:4318", name)
	}
	switch name, value := first(getenv, signal, "PROTOCOL"); value {
	case "", overHTTP:
		return overHTTP, nil
	case overGRPC:
		return overGRPC, nil
	default:
		return "", fmt.Errorf("%s must be %s or %s", name, overHTTP, overGRPC)
	}
}

// first is the signal's own variable where it is set, else that of all signals.
func first(getenv func(string) string, signal, what string) (name, value string) {
	name = prefix + signal + "_" + what
	if value = getenv(name); value != "" {
		return name, value
	}
	return prefix + what, getenv(prefix + what)
}

func sampler(name, arg string) error {
	switch name {
	case "", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off":
		return nil
	case "traceidratio", "parentbased_traceidratio":
		if ratio, err := strconv.ParseFloat(arg, 64); arg != "" && (err != nil || !(ratio >= 0 && ratio <= 1)) {
			return errors.New("OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1")
		}
		return nil
	}
	return errors.New("OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio, or one of them after parentbased_")
}

// pairs is true of key=value lists, the form of W3C Baggage without properties.
func pairs(list string) bool {
	for pair := range strings.SplitSeq(list, ",") {
		if key, value, ok := strings.Cut(pair, "="); list != "" && (!ok || strings.TrimSpace(key) == "" || !unescapes(value)) {
			return false
		}
	}
	return true
}

func unescapes(value string) bool {
	_, err := url.PathUnescape(value)
	return err == nil
}
