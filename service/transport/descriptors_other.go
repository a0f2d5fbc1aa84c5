//go:build !unix

package transport

func maxDescriptors() uint64 { return 0 }
