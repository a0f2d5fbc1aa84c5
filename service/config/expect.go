package config

// Expect is the least number of configurations and callers that all files together must have.
// Fewer than that are a problem, at the start and at a reload. Zero expects nothing.
type Expect struct {
	Configurations int `yaml:"configurations"`
	Callers        int `yaml:"callers"`
}

// checkExpect reports if the files have less than the main file expects.
func (l *loader) checkExpect(main *source) {
	at := main.Place("expect")
	for _, kind := range []struct {
		key  string
		want int
		have func(*source) int
	}{
		{"configurations", main.Expect.Configurations, func(s *source) int { return len(s.Configurations) }},
		{"callers", main.Expect.Callers, func(s *source) int { return len(s.Callers) }},
	} {
		have, readable := 0, !l.unknown
		for _, source := range l.sources {
			have += kind.have(source)
			readable = readable && !source.Place(kind.key).HasUnreadable()
		}
		switch at := at.At(kind.key); {
		case kind.want < 0:
			at.Problem("must be 0 or more")
		case have < kind.want && readable: // otherwise the files that can't be read are the cause
			at.Problem("is %d, but all files together have only %d: put back the files that are missing, "+
				"or lower the number", kind.want, have)
		}
	}
}
