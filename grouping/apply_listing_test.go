package grouping

import "time"

// listingCases are about starts that move, and about alerts that a message lists or
// omits.
var listingCases = []applyCase{
	{
		"a start moves back while the alert fires",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", -10*minute)), 0, "N"},
		},
		StateFiring, `aaaa firing 11:50:00 - 1`,
	},
	{
		"a start that moved back does not become a separate episode",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", -10*minute)), 0, "N"},
			{10 * minute, am0, list(ended("a", -10*minute, 6*minute)), 0, "Raaaa N C"},
			{20 * minute, am0, list(fires("a", 19*minute)), 0, "O faaaa N"},
		},
		StateFiring, `aaaa firing 12:19:00 - 2`,
	},
	{
		"nor if the episode was resolved before its start moved back",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", -minute, minute)), 0, "Raaaa N C"},
			{6 * minute, am0, list(fires("a", -10*minute)), 0, "O oaaaa N"},
			{10 * minute, am0, list(ended("a", -10*minute, 8*minute)), 0, "Raaaa N C"},
			{20 * minute, am0, list(fires("a", 19*minute)), 0, "O faaaa N"},
		},
		StateFiring, `aaaa firing 12:19:00 - 2`,
	},
	{
		"nor if its end was never reported",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", -10*minute)), 0, "N"},
			{20 * minute, am0, list(fires("a", 19*minute)), 0, "faaaa N"},
		},
		StateFiring, `aaaa firing 12:19:00 - 2`,
	},
	{
		"a start moves back with the resolution",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", -10*minute, 6*minute)), 0, "Raaaa N C"},
		},
		StateResolved, `aaaa resolved 11:50:00 12:06:00 1`,
	},
	{
		"a start after the last report of a firing alert is a new episode",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", 2*minute)), 0, "faaaa N"},
		},
		StateFiring, `aaaa firing 12:02:00 - 2`,
	},
	{
		"the last report of an alert may be a repeat that changed nothing",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", -minute)), 0, "N"},
			{10 * minute, am0, list(fires("a", 2*minute)), 0, "N"},
		},
		StateFiring, `aaaa firing 11:59:00 - 1`,
	},
	{
		"a second source's later start is no news",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am1, list(fires("a", -30*second)), 0, "N"},
		},
		StateFiring, `aaaa firing 11:59:00 - 1`,
	},
	{
		"nor is it after the resolution",
		[]step{
			{0, am0, list(fires("a", -minute)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", -minute, 4*minute)), 0, "Raaaa N C"},
			{5*minute + 3*second, am1, list(fires("a", -30*second)), 0, "N"},
			{5*minute + 9*second, am1, list(ended("a", -30*second, 4*minute)), 0, "N"},
		},
		StateResolved, `aaaa resolved 11:59:00 12:04:00 1`,
	},
	{
		"an episode before the newest is listed again",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{10 * minute, am0, list(fires("a", 9*minute)), 0, "O faaaa N"},
			{10*minute + second, am1, list(ended("a", 0, minute)), 0, "N"},
		},
		StateFiring, `aaaa firing 12:09:00 - 2`,
	},
	{
		"a silenced alert is unreported, then returns to the same episode",
		[]step{
			{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{5 * minute, am0, list(fires("b", 0), fires("c", 4*minute)), 0, "uaaaa Fcccc N"},
			{10 * minute, am0, list(fires("a", 0), fires("b", 0), fires("c", 4*minute)), 0, "baaaa N"},
		},
		StateFiring, `
			aaaa firing 12:00:00 - 1
			bbbb firing 12:00:00 - 1
			cccc firing 12:04:00 - 1`,
	},
	{
		"an unreported alert returns in a new episode",
		[]step{
			{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{5 * minute, am0, list(fires("b", 0)), 0, "uaaaa N"},
			{10 * minute, am0, list(fires("a", 9*minute), fires("b", 0)), 0, "faaaa N"},
		},
		StateFiring, `
			aaaa firing 12:09:00 - 2
			bbbb firing 12:00:00 - 1`,
	},
	{
		"an unreported alert resolves, and that closes the group",
		[]step{
			{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{5 * minute, am0, list(ended("b", 0, minute)), 0, "uaaaa Rbbbb N"},
			{10 * minute, am0, list(ended("a", 0, 6*minute)), 0, "Raaaa N C"},
		},
		StateResolved, `
			aaaa resolved 12:00:00 12:06:00 1
			bbbb resolved 12:00:00 12:01:00 1`,
	},
	{
		"absence is not resolution",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, nil, 0, "uaaaa N"},
			{10 * minute, am0, nil, 0, "N"},
		},
		StateUnreported, `aaaa unreported 12:00:00 - 1`,
	},
	{
		"alerts that a truncated body omits do not change",
		[]step{
			{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{5 * minute, am0, list(fires("b", 0)), 1, "N"},
		},
		StateFiring, `
			aaaa firing 12:00:00 - 1
			bbbb firing 12:00:00 - 1`,
	},
	{
		"a truncated group is never closed, because truncated alerts may fire",
		[]step{
			{0, am0, list(fires("a", 0)), 3, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 3, "Raaaa N"},
		},
		StateUnreported, `aaaa resolved 12:00:00 12:01:00 1`,
	},
	{
		"until a complete notification lists only resolved alerts",
		[]step{
			{0, am0, list(fires("a", 0)), 3, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute)), 3, "Raaaa N"},
			{10 * minute, am0, list(ended("b", 0, 8*minute)), 0, "Rbbbb N C"},
		},
		StateResolved, `
			aaaa resolved 12:00:00 12:01:00 1
			bbbb resolved 12:00:00 12:08:00 1`,
	},
	{
		"an alert that another replica omits moments after its report still fires",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", 0), fires("b", 4*minute)), 0, "Fbbbb N"},
			{5*minute + 14*second, am1, list(fires("a", 0)), 0, "N"},
		},
		StateFiring, `
			aaaa firing 12:00:00 - 1
			bbbb firing 12:04:00 - 1`,
	},
	{
		"an alert that it omits later is unreported",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(fires("a", 0), fires("b", 4*minute)), 0, "Fbbbb N"},
			{5*minute + 15*second, am1, list(fires("a", 0)), 0, "ubbbb N"},
		},
		StateMixed, `
			aaaa firing 12:00:00 - 1
			bbbb unreported 12:04:00 - 1`,
	},
	{
		"what the same Alertmanager omits is unreported at once",
		[]step{
			{0, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{second, am0, list(fires("a", 0)), 0, "ubbbb N"},
		},
		StateMixed, `
			aaaa firing 12:00:00 - 1
			bbbb unreported 12:00:00 - 1`,
	},
	{
		"if a body has an alert twice, the first firing entry wins",
		[]step{{0, am0, list(fires("a", -minute), ended("a", -minute, 0), fires("a", -5*minute)), 0, "O Faaaa N"}},
		StateFiring, `aaaa firing 11:59:00 - 1`,
	},
	{
		"if a body has an alert twice, the firing entry wins",
		[]step{{0, am0, list(ended("a", -minute, 0), fires("a", -minute)), 0, "O Faaaa N"}},
		StateFiring, `aaaa firing 11:59:00 - 1`,
	},
	{
		"an outdated notification does not change known alerts",
		[]step{
			{0, am0, list(fires("a", 0)), 0, "O Faaaa N"},
			{5 * minute, am0, list(ended("a", 0, minute), fires("c", minute)), 0, "Raaaa Fcccc N"},
			{5*minute - second, am0, list(fires("a", 0), fires("b", 0)), 0, "Fbbbb N"},
		},
		StateMixed, `
			aaaa resolved 12:00:00 12:01:00 1
			bbbb firing 12:00:00 - 1
			cccc firing 12:01:00 - 1`,
	},
	{
		"a write from a clock in the far future is superseded",
		[]step{
			{87600 * time.Hour, am0, list(fires("a", 0), fires("b", 0)), 0, "O Faaaa Fbbbb N"},
			{5 * minute, am1, list(ended("a", 0, minute)), 0, "ubbbb Raaaa N"},
		},
		StateUnreported, `
			aaaa resolved 12:00:00 12:01:00 1
			bbbb unreported 12:00:00 - 1`,
	},
	{
		"a resolution from such a clock is superseded too",
		[]step{
			{87600 * time.Hour, am0, list(ended("a", 0, minute)), 0, "Raaaa N C"},
			{5 * minute, am1, list(fires("a", 0)), 0, "O oaaaa N"},
		},
		StateFiring, `aaaa firing 12:00:00 - 1`,
	},
	{
		"a sender that sends no times",
		[]step{
			{0, "", list(NotifiedAlert{Fingerprint: fp("a"), Status: StatusFiring}), 0, "O Faaaa N"},
			{minute, "", list(NotifiedAlert{Fingerprint: fp("a"), Status: StatusFiring}), 0, "N"},
			{2 * minute, "", list(NotifiedAlert{Fingerprint: fp("a"), Status: StatusResolved}), 0, "Raaaa N C"},
			{3 * minute, "", list(NotifiedAlert{Fingerprint: fp("a"), Status: StatusResolved}), 0, "N"},
			{4 * minute, "", list(NotifiedAlert{Fingerprint: fp("a"), Status: StatusFiring}), 0, "O faaaa N"},
		},
		StateFiring, `aaaa firing 12:04:00 - 2`,
	},
}
