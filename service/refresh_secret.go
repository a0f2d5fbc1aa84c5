package service

import (
	"github.com/deskmint/deskmint/service/policy"
)

// The names of the limits of RefreshSecret, in the metadata of a refusal.
const (
	limitRefresh    = "refresh_rate"
	limitRefreshAll = "refresh_rate_all"
)

// refreshLimits keep a caller with the action refresh from using up secrets.max_rate,
// which the refreshes of every other secret share: of one secret, and of all together.
func refreshLimits(caller, configuration string) []policy.Limit {
	return []policy.Limit{
		{Name: limitRefresh, Key: caller + " " + configuration, Rate: policy.Rate{PerSecond: 1, Burst: 20}},
		{Name: limitRefreshAll, Key: caller, Rate: policy.Rate{PerSecond: 5, Burst: 40}},
	}
}
