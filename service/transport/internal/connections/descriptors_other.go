//go:build !unix

package connections

func maxDescriptors() uint64 { return 0 }
