package grouping

// applyCases are about the start and the end of episodes.
var applyCases = []applyCase{
	{
		"the first alert opens the group",
		[]step{{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"}},
		StateFiring, `aaaa firing 11:59:00 - 1`,
	},
	{
		"a second alert joins",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("b", 2*minute), fires("a", 0)), 0, "Fbbbb N"},
		},
		StateFiring, `
			aaaa firing 12:00:00 - 1
			bbbb firing 12:02:00 - 1`,
	},
	{
		"a repeat makes one notified event",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", 0)), 0, "N"},
		},
		StateFiring, `aaaa firing 12:00:00 - 1`,
	},
	{
		"some resolve",
		[]step{
			{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{5 * minute, am0, list(ended("a", 0, minute), fires("b", 0)), 0, "Raaaa N"},
		},
		StateMixed, `
			aaaa resolved 12:00:00 12:01:00 1
			bbbb firing 12:00:00 - 1`,
	},
	{
		"the last resolution closes the group",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
		},
		StateResolved, `aaaa resolved 12:00:00 12:01:00 1`,
	},
	{
		"a resolved alert is listed again",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{10 * minute, am0, list(ended("a", 0, minute), fires("b", 9*minute)), 0, "O Fbbbb N"},
		},
		StateMixed, `
			aaaa resolved 12:00:00 12:01:00 1
			bbbb firing 12:09:00 - 1`,
	},
	{
		"an alert is first reported as resolved",
		[]step{{0, am0, list(ended("a", -5*minute, -minute)), 0, "Raaaa N C"}},
		StateResolved, `aaaa resolved 11:55:00 11:59:00 1`,
	},
	{
		"a new start after a resolution is a new episode, and opens the group again",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{10 * minute, am0, list(fires("a", 9*minute)), 0, "O faaaa N"},
		},
		StateFiring, `aaaa firing 12:09:00 - 2`,
	},
	{
		"a start at the very end of the episode before is a new episode",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{10 * minute, am0, list(fires("a", minute)), 0, "O faaaa N"},
		},
		StateFiring, `aaaa firing 12:01:00 - 2`,
	},
	{
		"an episode is first reported when it is resolved",
		[]step{
			{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{5 * minute, am0, list(ended("a", 0, minute), fires("b", 0)), 0, "Raaaa N"},
			{10 * minute, am0, list(ended("a", 6*minute, 7*minute), fires("b", 0)), 0, "Raaaa N"},
		},
		StateMixed, `
			aaaa resolved 12:06:00 12:07:00 2
			bbbb firing 12:00:00 - 1`,
	},
	{
		"an unreported episode ends while the previous one fires",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 2*minute, 3*minute)), 0, "Raaaa N C"},
		},
		StateResolved, `aaaa resolved 12:02:00 12:03:00 2`,
	},
	{
		"the same Alertmanager reopens an episode, at once",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{minute, am0, list(ended("a", -minute, 30*second)), 0, "Raaaa N C"},
			{minute + 3*second, am0, list(fires("a", -minute)), 0, "O oaaaa N"},
			{5 * minute, am0, list(ended("a", -minute, 4*minute)), 0, "Raaaa N C"},
		},
		StateResolved, `aaaa resolved 11:59:00 12:04:00 1`,
	},
	{
		"a reopened episode goes unreported, and its old end is listed again",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{minute, am0, list(ended("a", -minute, 30*second)), 0, "Raaaa N C"},
			{2 * minute, am0, list(fires("a", -minute)), 0, "O oaaaa N"},
			{3 * minute, am0, list(fires("b", 3*minute)), 0, "uaaaa Fbbbb N"},
			{4 * minute, am0, list(ended("a", -minute, 30*second), fires("b", 3*minute)), 0, "Raaaa N"},
		},
		StateMixed, `
			aaaa resolved 11:59:00 12:00:30 1
			bbbb firing 12:03:00 - 1`,
	},
	{
		"a firing within the settle time, from another Alertmanager, is stale",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{5*minute + 14*second, am1, list(fires("a", 0)), 0, "N"},
			{5*minute + 18*second, am1, list(ended("a", 0, minute)), 0, "N"},
		},
		StateResolved, `aaaa resolved 12:00:00 12:01:00 1`,
	},
	{
		"after the settle time another Alertmanager may have taken over",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{5*minute + 15*second, am1, list(fires("a", 0)), 0, "O oaaaa N"},
			{240 * minute, am1, list(fires("a", 0)), 0, "N"},
		},
		StateFiring, `aaaa firing 12:00:00 - 1`,
	},
	{
		"it is a disagreement when the first one repeats its view",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{5*minute + 15*second, am1, list(fires("a", 0)), 0, "O oaaaa N"},
			{10 * minute, am0, list(ended("a", 0, minute)), 0, "N"},
			{10*minute + 15*second, am1, list(fires("a", 0)), 0, "N"},
		},
		StateFiring, `aaaa firing 12:00:00 - 1 disputed`,
	},
	{
		"a dispute ends with a new episode",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{6 * minute, am1, list(fires("a", 0)), 0, "O oaaaa N"},
			{10 * minute, am0, list(fires("a", 9*minute)), 0, "faaaa N"},
		},
		StateFiring, `aaaa firing 12:09:00 - 2`,
	},
	{
		"a dispute ends with a later end",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{6 * minute, am1, list(fires("a", 0)), 0, "O oaaaa N"},
			{10 * minute, am0, list(ended("a", 0, minute)), 0, "N"},
			{11 * minute, am1, list(ended("a", 0, 9*minute)), 0, "Raaaa N C"},
		},
		StateResolved, `aaaa resolved 12:00:00 12:09:00 1`,
	},
	{
		"a dispute ends when nobody reports the alert",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{6 * minute, am1, list(fires("a", 0)), 0, "O oaaaa N"},
			{10 * minute, am0, list(ended("a", 0, minute)), 0, "N"},
			{15 * minute, am1, list(ended("b", 14*minute, 14*minute+second)), 0, "Rbbbb N C"},
		},
		StateResolved, `
			aaaa resolved 12:00:00 12:01:00 1
			bbbb resolved 12:14:00 12:14:01 1`,
	},
	{
		// On Kubernetes the replicas of a cluster often share an external URL.
		"replicas with the same external URL disagree",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{5*minute + 10*second, am0, list(fires("a", 0)), 0, "O oaaaa N"},
			{5*minute + 11*second, am0, list(ended("a", 0, minute)), 0, "N"},
			{10 * minute, am0, list(fires("a", 0)), 0, "N"},
			{10*minute + second, am0, list(ended("a", 0, minute)), 0, "N"},
		},
		StateResolved, `aaaa resolved 12:00:00 12:01:00 1 disputed`,
	},
	{
		"another replica's end of the same episode may be later",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{6 * minute, am1, list(ended("a", 0, 2*minute)), 0, "N"},
			{7 * minute, am0, list(ended("a", 0, minute)), 0, "N"},
		},
		StateResolved, `aaaa resolved 12:00:00 12:02:00 1`,
	},
}
