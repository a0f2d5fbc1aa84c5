package connections

import (
	"math"
	"net"

	"golang.org/x/net/netutil"
)

// The number of descriptors that both listeners together leave to the rest of the process: to the
// ops listener, the secret store, the audit file and the files of the configuration.
const (
	minReserve = 64
	maxReserve = 1024
)

// reserveDescriptors limits the connections of a listener, so that both listeners together can't
// use up the descriptors of the process. Otherwise clients that open many connections would also
// take away the health checks, and the process would be restarted. Connections beyond the limit
// wait until others end.
func reserveDescriptors(l net.Listener) net.Listener {
	if n := maxConnections(maxDescriptors()); n < math.MaxInt {
		return netutil.LimitListener(l, n)
	}
	return l
}

// maxConnections returns the number of connections of one of the two listeners. Each has a half, so
// that the clients of one can't lock out those of the other.
func maxConnections(descriptors uint64) int {
	if descriptors == 0 || descriptors > math.MaxInt32 { // unknown, or as good as without a limit
		return math.MaxInt
	}
	all := int(descriptors)
	reserve := min(max(all/4, minReserve), maxReserve, all/2)
	return max(1, (all-reserve)/2)
}
