package main

import (
	"path/filepath"
	"testing"

	"github.com/deskmint/deskmint/service/config"
)

// clientArgs returns the arguments to connect to a server, for any of the client commands.
func (d *deskmint) clientArgs(t *testing.T, configuration string, more ...string) []string {
	t.Helper()
	key := filepath.Join(folder(t, map[string]string{"key": config.DevKey + "\n"}), "key")
	return append([]string{"--address", d.grpc, "--api-key-file", key, "--configuration", configuration}, more...)
}

func commandLine(command string, args []string, more ...string) []string {
	return append(append([]string{command}, args...), more...)
}
