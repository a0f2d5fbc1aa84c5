package service

import (
	"github.com/deskmint/deskmint/service/policy"
)

// The names of the limits of RefreshSecret, as the metadata of a refusal has them.
const (
	limitRefresh    = "refresh_rate"
	limitRefreshAll = "refresh_rate_all"
)

// refreshLimits returns the limits of a caller's refreshes: one for each secret, and one for all
// secrets together. Without them, a caller with the action refresh could use up secrets.max_rate,
// which the refreshes of all secrets share.
func refreshLimits(caller, configuration string) []policy.Limit {
	return []policy.Limit{
		{Name: limitRefresh, Key: caller + " " + configuration, Rate: policy.Rate{PerSecond: 1, Burst: 20}},
		{Name: limitRefreshAll, Key: caller, Rate: policy.Rate{PerSecond: 5, Burst: 40}},
	}
}
