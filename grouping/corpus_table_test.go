package grouping

import "time"

// wantGroup is the expected end state of one group. alerts has one line per alert, in
// the format of describe. story has the events, abbreviated by letters.
type wantGroup struct {
	source, receiver string // "": any
	key, not         string // a part of the group key, and a text that it must not contain
	state            State
	alerts           string
	story            string
}

type wantScenario struct {
	name string
	// settle is the value that fits the scenario's shortened timings: the wait of
	// the last peer, (n-1) × peer-timeout, plus a second for the delivery. With one
	// Alertmanager it has no effect, so the default is used.
	settle time.Duration
	groups []wantGroup
}

const defaultSettle = 15 * time.Second

var corpusTable = []wantScenario{
	{"01-lifecycle", defaultSettle, []wantGroup{{
		source: "default", receiver: "team-payments", state: StateResolved,
		alerts: `
			31c3 resolved 22:28:37.696 22:28:40.733 2
			4ede resolved 22:28:36.179 22:28:37.696 2
			692f resolved 22:28:09.214 22:28:30.19 1`,
		story: `O F31c3 F4ede N  F692f N  R4ede N  N  R31c3 N  R692f N C
			O f4ede N  f31c3 R4ede N  R31c3 N C`,
	}}},
	{"01-lifecycle-am025", defaultSettle, []wantGroup{{
		source: "default", receiver: "team-payments", state: StateResolved,
		alerts: `
			31c3 resolved 22:30:21.869 22:30:24.881 2
			4ede resolved 22:30:19.357 22:30:21.869 2
			692f resolved 22:29:52.341 22:30:13.349 1`,
		story: `O F31c3 F4ede N  F692f N  R4ede N  N  R31c3 N  R692f N C
			O f4ede N  f31c3 R4ede N  R31c3 N C`,
	}}},
	// A resolved alert that is listed repeatedly makes no events.
	{"01b-resolved-resent", defaultSettle, []wantGroup{{
		receiver: "node-team", state: StateResolved,
		alerts: `
			2aa7 resolved 22:32:44.842 22:32:45.857 1
			30b8 resolved 22:32:44.842 22:33:04.057 1
			9da3 resolved 22:32:52.914 22:33:04.057 1
			cce9 resolved 22:33:09.161 22:33:16.306 1`,
		story: `O F2aa7 F30b8 N  R2aa7 N  F9da3 N  N  R30b8 R9da3 N C
			O Fcce9 N  Rcce9 N C`,
	}}},
	{"02-send-resolved", defaultSettle, []wantGroup{
		{
			// 007: an episode of 2aa7 is first reported when it is resolved.
			source: "resolved-true", receiver: "both", state: StateResolved,
			alerts: `
				2aa7 resolved 22:30:44.129 22:30:44.331 2
				30b8 resolved 22:30:41.126 22:30:57.334 2`,
			story: `O F2aa7 F30b8 N  R2aa7 N  R30b8 N C  O f30b8 N  R2aa7 N  N  R30b8 N C`,
		},
		{
			// This hook gets no resolutions. An omitted alert is not resolved, and a
			// start after the last report is a new episode.
			source: "resolved-false", receiver: "both", state: StateMixed,
			alerts: `
				2aa7 unreported 22:30:32.113 - 1
				30b8 firing 22:30:41.126 - 2`,
			story: `O F2aa7 F30b8 N  u2aa7 f30b8 N  N`,
		},
	}},
	// bd0f reopens with the same start. 71e0 flaps between two notifications. The
	// start of f63f moves back by ten minutes.
	{"03-resolve-and-refire", defaultSettle, []wantGroup{{
		receiver: "db-team", state: StateResolved,
		alerts: `
			706b resolved 22:30:11.153 22:30:45.153 1
			71e0 resolved 22:31:11.761 22:31:17.267 2
			8dcb resolved 22:30:47.164 22:30:48.177 1
			908a resolved 22:31:28.689 22:31:36.5 1
			a8a6 resolved 22:31:35.997 22:31:36.5 1
			bd0f resolved 22:30:37.194 22:31:08.242 1
			bfc6 resolved 22:30:32.124965028 22:30:38.135531877 1
			ec2f resolved 22:31:16.763 22:31:17.267 1
			f363 resolved 22:31:26.682 22:31:36.5 1
			f63f resolved 22:21:16.478 22:31:36.5 1`,
		story: `O Fbfc6 N  Rbfc6 N C  O F706b N  R706b N C  O F8dcb N  R8dcb N C
			O Fbd0f N  Rbd0f N C  O obd0f N  Rbd0f N C
			O F71e0 N  f71e0 Fec2f N  R71e0 Rec2f N C
			O Ff63f N  Ff363 N  F908a N  Fa8a6 N  R908a Ra8a6 Rf363 Rf63f N C`,
	}}},
	{"05-max-alerts", defaultSettle, []wantGroup{
		{
			source: "all", receiver: "limited", state: StateResolved,
			alerts: `
				0ce6 resolved 22:34:57.113 22:34:58.706 1
				0dee resolved 22:34:25.528 22:34:33.085 1
				10e8 resolved 22:34:57.113 22:35:04.733 1
				13b5 resolved 22:34:57.113 22:34:58.706 1
				177d resolved 22:34:25.528 22:34:33.085 1
				1889 resolved 22:34:25.528 22:34:33.085 1
				2879 resolved 22:34:25.528 22:34:33.085 1
				5c94 resolved 22:34:25.528 22:34:50.633 1
				5d53 resolved 22:34:57.113 22:34:58.705 1
				6a07 resolved 22:34:25.528 22:34:36.097 1
				7a48 resolved 22:34:25.528 22:34:27.055 1
				7c4e resolved 22:34:57.113 22:34:58.705 1
				96ee resolved 22:34:57.113 22:35:04.733 1
				a9de resolved 22:34:30.147 22:34:50.633 1
				ad0d resolved 22:34:57.113 22:34:58.705 1
				ad2a resolved 22:34:57.113 22:35:04.733 1
				bea2 resolved 22:34:25.528 22:34:27.055 1
				cd8c resolved 22:34:25.528 22:34:36.097 1
				cea0 resolved 22:34:25.528 22:34:36.097 1
				d79b resolved 22:34:25.528 22:34:33.085 1
				e91a resolved 22:34:25.528 22:34:36.097 1`,
			story: `O F0dee F177d F1889 F2879 F5c94 F6a07 F7a48 Fbea2 Fcd8c Fcea0 Fd79b Fe91a N
				R7a48 Rbea2 N  Fa9de N  R0dee R177d R1889 R2879 Rd79b N
				R6a07 Rcd8c Rcea0 Re91a N  N  R5c94 Ra9de N C
				O F0ce6 F10e8 F13b5 F5d53 F7c4e F96ee Fad0d Fad2a N
				R0ce6 R13b5 R5d53 R7c4e Rad0d N  R10e8 R96ee Rad2a N C`,
		},
		{
			// 018: all listed alerts are resolved, but truncated ones fire, so the group
			// is not closed. 006, 008: the omitted alerts were truncated, so they are
			// not unreported.
			source: "max5", receiver: "limited", state: StateResolved,
			alerts: `
				0ce6 resolved 22:34:57.113 22:34:58.706 1
				10e8 resolved 22:34:57.113 22:35:04.733 1
				13b5 resolved 22:34:57.113 22:34:58.706 1
				5c94 resolved 22:34:25.528 22:34:50.633 1
				5d53 resolved 22:34:57.113 22:34:58.705 1
				6a07 resolved 22:34:25.528 22:34:36.097 1
				7a48 resolved 22:34:25.528 22:34:27.055 1
				7c4e resolved 22:34:57.113 22:34:58.705 1
				96ee resolved 22:34:57.113 22:35:04.733 1
				a9de resolved 22:34:30.147 22:34:50.633 1
				ad0d resolved 22:34:57.113 22:34:58.705 1
				ad2a resolved 22:34:57.113 22:35:04.733 1
				bea2 resolved 22:34:25.528 22:34:27.055 1
				cd8c resolved 22:34:25.528 22:34:36.097 1
				cea0 resolved 22:34:25.528 22:34:36.097 1
				e91a resolved 22:34:25.528 22:34:36.097 1`,
			story: `O F7a48 Fbea2 Fcd8c Fcea0 Fe91a N  R7a48 Rbea2 N  F5c94 F6a07 N  N
				R6a07 Rcd8c Rcea0 Re91a N  Fa9de N  R5c94 Ra9de N C
				O F0ce6 F13b5 F5d53 F7c4e Fad0d N  R0ce6 R13b5 R5d53 R7c4e Rad0d N
				R10e8 R96ee Rad2a N C`,
		},
	}},
	// f959 and 54ce resolve while they are silenced, and 89bc after that. No
	// notification reports it. The second episode of 42f3 is reported only at its end.
	{"06-silence", defaultSettle, []wantGroup{{
		receiver: "web-oncall", state: StateUnreported,
		alerts: `
			42f3 resolved 22:35:21.037 22:35:53.252 2
			54ce unreported 22:34:31.617 - 1
			89bc unreported 22:34:44.965 - 1
			d579 resolved 22:34:42.671 22:35:06.726 1
			f959 resolved 22:35:59.579 22:36:14.601 2`,
		story: `O F42f3 Ff959 N  uf959 F54ce N  Fd579 N  u42f3 F89bc N  b42f3 N
			u54ce Rd579 N  u89bc R42f3 N  ff959 N  Rf959 N`,
	}}},
	{"07-inhibit", defaultSettle, []wantGroup{
		{
			source: "infra", receiver: "infra", state: StateUnreported,
			alerts: `
				2aa7 unreported 22:34:25.837 - 1
				30b8 resolved 22:34:55.407 22:35:01.413 2
				9da3 resolved 22:34:32.953 22:35:01.413 1`,
			story: `O F2aa7 F30b8 N  u2aa7 F9da3 N  b2aa7 N  u2aa7 R30b8 N  R30b8 R9da3 N`,
		},
		{
			source: "page", receiver: "infra-page", state: StateResolved,
			alerts: `
				39a2 resolved 22:34:55.407 22:35:01.413 1
				9852 resolved 22:34:36.872 22:34:45.425 2`,
			story: `O F9852 N  R9852 N C  O f9852 N  R9852 N C  O F39a2 N  R39a2 N C`,
		},
	}},
	// Peer timeout 3 s. 2bd5: the replicas disagree, first within the settle time,
	// then 19 s later. This makes one reopened event and no later events. 6940: an
	// outdated firing 1.5 s after its second resolution changes nothing.
	{"08-ha-two-replicas", 4 * time.Second, []wantGroup{{
		receiver: "payments", state: StateResolved,
		alerts: `
			1490 resolved 22:40:23.127 22:42:07.523 1
			2bd5 resolved 22:39:29.031 22:39:35.036 1
			31c3 resolved 22:38:57.019 22:42:07.523 1
			4ede resolved 22:38:57.019 22:39:03.023 1
			692f resolved 22:39:03.023 22:42:07.523 1
			6940 resolved 22:41:35.337 22:42:07.523 3
			b7bd resolved 22:39:11.027 22:39:20.029 1
			c632 resolved 22:40:09.123 22:42:07.523 1`,
		story: `O F31c3 F4ede N  R4ede F692f N  Fb7bd N  Rb7bd N  F2bd5 N
			R2bd5 N  N  N  o2bd5 N  N  N  N
			Fc632 N  N  F1490 N  N  N  N  N  N
			F6940 N  N  R6940 N  N  f6940 N  N  R6940 N  N  N  f6940 N
			R1490 R31c3 R692f R6940 Rc632 N C`,
	}}},
	// Peer timeout 2 s, so the third replica waits for 4 s. After aaaf fires, all
	// three replicas repeat it, 13 times in total.
	{"09-ha-three-replicas", 5 * time.Second, []wantGroup{{
		receiver: "db", state: StateResolved,
		alerts: `
			706b resolved 22:42:55.904 22:44:05.001 1
			8dcb resolved 22:43:04.912 22:44:05.001 1
			aaaf resolved 22:43:28.927 22:44:05.001 1
			bd0f resolved 22:43:48.988 22:44:05.001 1
			bfc6 resolved 22:42:55.904 22:43:16.914 1`,
		story: `O F706b Fbfc6 N  F8dcb N  Rbfc6 N  Faaaf N  N N N N N N N N N N N N N
			Fbd0f N  R706b R8dcb Raaaf Rbd0f N C`,
	}}},
	{"11-groupkey", defaultSettle, groupKeys},
	{"12-retry", defaultSettle, []wantGroup{
		{
			source: "a", receiver: "shop", state: StateResolved,
			alerts: `
				42f3 resolved 22:46:17.309 22:46:22.315 2
				54ce resolved 22:46:51.318 22:46:54.331 2
				d579 resolved 22:44:49.241 22:45:01.244 1
				f959 resolved 22:45:37.253 22:45:49.276 2`,
			story: `O Ff959 N  F42f3 N  R42f3 F54ce N  Fd579 N  R54ce Rd579 Rf959 N C
				O ff959 N  Rf959 N C  O f42f3 N  R42f3 N C  O f54ce N  R54ce N C`,
		},
		{
			// The recorder refused f959's second firing with 400, so its end was
			// never sent: it is unreported, not resolved.
			source: "b", receiver: "shop", state: StateUnreported,
			alerts: `
				42f3 resolved 22:46:17.309 22:46:22.315 2
				54ce resolved 22:46:51.318 22:46:54.331 2
				d579 resolved 22:44:49.241 22:45:01.244 1
				f959 unreported 22:45:37.253 - 2`,
			story: `O Ff959 N  F42f3 N N N N N N  R42f3 F54ce N N N N N  Fd579 N
				R54ce Rd579 Rf959 N C N N N N N N N N N N
				O ff959 N N  uf959 f42f3 N  R42f3 N  f54ce N  R54ce N`,
		},
	}},
	{"12c-retry-refused", defaultSettle, []wantGroup{{
		receiver: "shop", state: StateResolved,
		alerts: `
			70e0 resolved 22:49:29.04 22:49:38.042 1
			cb31 resolved 22:48:53.995 22:48:57.011 1
			f319 resolved 22:49:27.013 22:50:28.244 1`,
		story: `O Fcb31 N  Rcb31 N C  O Ff319 N  R70e0 N  Rf319 N C`,
	}}},
	// effd's source stopped while Alertmanager was down, so no end is ever sent.
	{"13-restart", defaultSettle, []wantGroup{{
		receiver: "platform", state: StateMixed,
		alerts: `
			1888 firing 22:48:55.379 - 2
			4547 resolved 22:48:38.034 22:48:51.377 1
			effd unreported 22:48:26.855 - 1`,
		story: `O F1888 Feffd N  F4547 N  R1888 N  ueffd R4547 N  f1888 N  N  N`,
	}}},
	{"14-new-fields-and-payload", defaultSettle, []wantGroup{
		{
			source: "basic", receiver: "plain", state: StateFiring,
			alerts: `
				4b3a firing 22:55:17.857 - 1
				b190 firing 22:55:17.857 - 1`,
			story: `O F4b3a Fb190 N`,
		},
		{source: "plain", receiver: "plain", state: StateResolved, alerts: payloadAlerts, story: payloadStory},
		{source: "KubePodCrashLooping", receiver: "plain", state: StateResolved, alerts: payloadAlerts, story: payloadStory},
	}},
	// Two Prometheus replicas. The start of Watchdog moves back by 0.8 s, which is not
	// a new episode.
	{"17-real-prometheus", defaultSettle, []wantGroup{
		{
			key: "InstanceDown", state: StateResolved,
			alerts: `
				db4b resolved 23:06:18.197 23:06:48.426 1
				fd15 resolved 23:08:28.426 23:12:28.426 1`,
			story: `O Fdb4b N  Rdb4b N C  O Ffd15 N  N  N  N  Rfd15 N C`,
		},
		{
			key: "SawtoothHigh", state: StateResolved,
			alerts: `8123 resolved 23:08:32.426 23:12:32.426 3`,
			story:  `O F8123 N  R8123 N C  O f8123 N  R8123 N C  O f8123 N  N  N  N  R8123 N C`,
		},
		{
			key: "Watchdog", state: StateResolved,
			alerts: `6a31 resolved 23:06:08.426 23:12:16.426 1`,
			story:  `O F6a31 N  N  N  N  N  R6a31 N C`,
		},
	}},
	// 8e8b resolved while it was muted. After a reload, a notification reports it.
	{"18-mute-interval", defaultSettle, []wantGroup{{
		receiver: "office", state: StateResolved,
		alerts: `
			2aa7 resolved 22:51:42.481 22:53:09.069 1
			30b8 resolved 22:52:03.493 22:53:09.069 1
			8e8b resolved 22:51:42.48 22:52:03.493 1`,
		story: `O F2aa7 F8e8b N  u8e8b F30b8 N  R8e8b N  R2aa7 R30b8 N C`,
	}}},
	{"23-reload", defaultSettle, []wantGroup{{
		receiver: "platform", state: StateMixed,
		alerts: `
			1a28 resolved 23:08:50.532 23:09:09.552 1
			342b firing 23:09:18.562 - 1
			5e75 resolved 23:09:05.55 23:09:09.552 1
			bc88 resolved 23:08:50.532 23:08:53.535 1`,
		story: `O F1a28 Fbc88 N  Rbc88 N  F5e75 N  R1a28 R5e75 N C  O F342b N`,
	}}},
}

const (
	payloadAlerts = `
		4b3a resolved 22:55:17.857 22:55:20.373 1
		b190 resolved 22:55:17.857 22:55:34.421 1`
	payloadStory = `O F4b3a Fb190 N  R4b3a N  N  Rb190 N C`
)

// One alert is in several groups, because receiver and route are part of a group's
// identity. The key that a route had before it was edited gets no notifications, so
// the alert still fires there.
var groupKeys = []wantGroup{
	{receiver: "nodes", key: "mountpoint=~", state: StateResolved, alerts: `2aa7 resolved 22:38:48.909 22:39:35.987 1`},
	{receiver: "nodes", not: "mountpoint=~", state: StateResolved, alerts: `eecf resolved 22:38:48.909 22:39:35.987 1`},
	{receiver: "blackbox", key: ":{}", state: StateResolved, alerts: `
		05dd resolved 22:38:48.909 22:39:35.987 1
		f959 resolved 22:38:48.909 22:39:35.987 1`, story: `O F05dd Ff959 N  R05dd Rf959 N C`},
	{receiver: "default", key: "Quotes", state: StateResolved, alerts: `621a resolved 22:38:48.91 22:39:35.987 1`},
	{receiver: "default", key: `{alertname="KubePodCrashLooping"}`, state: StateResolved, alerts: `4ede resolved 22:38:48.909 22:39:35.987 1`},
	{receiver: "default", key: `cluster="prod-eu-1"`, state: StateFiring, alerts: `4ede firing 22:38:48.909 - 1`, story: `O F4ede N`},
	{receiver: "otel", state: StateResolved, alerts: `42c1 resolved 22:38:48.91 22:39:35.987 1`},
	{receiver: "storage.team", key: `team="storage"`, state: StateResolved, alerts: `bfc6 resolved 22:38:48.909 22:39:35.987 1`},
	{receiver: "storage.team", key: `team=~"storage|db"`, state: StateFiring, alerts: `bfc6 firing 22:38:48.909 - 1`},
	{receiver: "storage.crew", key: `team="storage"`, state: StateFiring, alerts: `bfc6 firing 22:38:48.909 - 1`},
	{receiver: "audit", key: `team="storage"`, state: StateResolved, alerts: `bfc6 resolved 22:38:48.909 22:39:35.987 1`},
	{
		receiver: "audit (copy+1)", source: "audit_(copy+1)", key: `team="storage"`, state: StateResolved,
		alerts: `bfc6 resolved 22:38:48.909 22:39:35.987 1`,
	},
}
