package telemetry

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The OTLP protocols for which there are exporters.
const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

const prefix = "OTEL_EXPORTER_OTLP_"

// destinations holds the protocol of each signal. It is empty if the signal isn't sent.
type destinations struct{ traces, metrics string }

// read reads the environment variables that determine whether anything is sent. It also checks the
// variables whose errors the libraries would ignore or write to a log.
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
	samplerErr := checkSampler(getenv("OTEL_TRACES_SAMPLER"), getenv("OTEL_TRACES_SAMPLER_ARG"))
	errs := []error{tracesErr, metricsErr, samplerErr}
	for _, name := range []string{"HEADERS", "TRACES_HEADERS", "METRICS_HEADERS"} {
		if !isPairList(getenv(prefix + name)) {
			errs = append(errs, fmt.Errorf("%s%s is not a list of key=value pairs, separated by commas", prefix, name))
		}
	}
	for _, name := range []string{
		prefix + "TIMEOUT",
		prefix + "TRACES_TIMEOUT",
		prefix + "METRICS_TIMEOUT",
		"OTEL_BSP_SCHEDULE_DELAY",
		"OTEL_BSP_EXPORT_TIMEOUT",
		"OTEL_BSP_MAX_QUEUE_SIZE",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
		"OTEL_METRIC_EXPORT_INTERVAL",
		"OTEL_METRIC_EXPORT_TIMEOUT",
	} {
		if n, err := strconv.Atoi(getenv(name)); getenv(name) != "" && (err != nil || n <= 0) {
			errs = append(errs, fmt.Errorf("%s must be a whole number above 0; times are in milliseconds", name))
		}
	}
	return to, errors.Join(errs...)
}

// protocol returns the protocol of a signal, or "" if the signal isn't sent. Unknown values are
// errors. The specification says to ignore them, but then everything seems to work and nothing is
// sent.
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

// first returns the signal's variable if it is set, and otherwise that of all signals.
func first(getenv func(string) string, signal, what string) (name, value string) {
	name = prefix + signal + "_" + what
	if value = getenv(name); value != "" {
		return name, value
	}
	return prefix + what, getenv(prefix + what)
}

func checkSampler(name, arg string) error {
	switch name {
	case "", "always_on", "always_off", "parentbased_always_on", "parentbased_always_off":
		return nil
	case "traceidratio", "parentbased_traceidratio":
		if ratio, err := strconv.ParseFloat(arg, 64); arg != "" && (err != nil || !(ratio >= 0 && ratio <= 1)) {
			return errors.New("OTEL_TRACES_SAMPLER_ARG must be a ratio from 0 to 1")
		}
		return nil
	}
	return errors.New("OTEL_TRACES_SAMPLER must be always_on, always_off or traceidratio, " +
		"or one of them after parentbased_")
}

// isPairList reports whether a text is a list of key=value pairs, which is the form of W3C Baggage
// without properties.
func isPairList(list string) bool {
	if list == "" {
		return true
	}
	for pair := range strings.SplitSeq(list, ",") {
		if key, value, ok := strings.Cut(pair, "="); !ok || strings.TrimSpace(key) == "" || !isEscaped(value) {
			return false
		}
	}
	return true
}

// isEscaped reports whether all percent-escapes in a value are valid.
func isEscaped(value string) bool {
	_, err := url.PathUnescape(value)
	return err == nil
}
