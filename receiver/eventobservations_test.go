package receiver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"muster/grouping"
	"muster/internal/wire"
	"muster/internal/wire/wiretest"
)

// Parts of events, in the form of Alertmanager 0.35 and in that of 0.34.
const (
	inGroup035 = `"groupInfo":{"groupKey":"{}:{a=\"b\"}", "groupLabels":{"a":"b"}, "receiverName":"team"}`
	inGroup034 = `"groupInfo":{"groupKey":"{}:{a=\"b\"}", "groupLabels":{"labels":[{"key":"a","value":"b"}]}, "receiverName":"team"}`
	flushed035 = `"groupInfo":{"groupKey":"{}:{a=\"b\"}", "groupLabels":{"a":"b"}, "receiverName":"team", "groupUuid":"u"}`
	flushed034 = `"groupInfo":{"groupKey":"{}:{a=\"b\"}", "groupLabels":{"labels":[{"key":"a","value":"b"}]}, "receiverName":"team", ` +
		`"groupUuid":"u"}`
	fires035 = `"details":{"fingerprint":"10", "labels":{"a":"b","c":"d"}, "annotations":{"s":"t"}, ` +
		`"startsAt":"2026-11-23T02:00:00.5Z", "endsAt":"2026-11-23T03:04:00Z"}`
	fires034 = `"details":{"fingerprint":"10", "labels":{"labels":[{"key":"a","value":"b"},{"key":"c","value":"d"}]}, ` +
		`"annotations":{"labels":[{"key":"s","value":"t"}]}, "startsAt":"2026-11-23T02:00:00.5Z", "endsAt":"2026-11-23T03:04:00Z"}`
	aSilence = `"silence":{"id":"s1", "matchers":[{"type":"TYPE_EQUAL","name":"a","pattern":"b"}], ` +
		`"startsAt":"2026-11-23T02:30:00Z", "endsAt":"2026-11-23T05:00:00Z", "updatedAt":"2026-11-23T02:31:00Z", ` +
		`"createdBy":"jo", "comment":"why"}`
	muted035 = `"mutedAlert":{"fingerprint":"10", "labels":{"a":"b","c":"d"}}`
	muted034 = `"mutedAlert":{"fingerprint":"10", "labels":{"labels":[{"key":"a","value":"b"},{"key":"c","value":"d"}]}}`
	rule     = `"sourceMatchers":[{"type":"TYPE_EQUAL","name":"severity","pattern":"critical"}], ` +
		`"targetMatchers":[{"type":"TYPE_REGEXP","name":"severity","pattern":"warning|info"},{"type":"TYPE_NOT_EQUAL","name":"a","pattern":""}]`
	ruleWords = `{severity="critical"} inhibits {severity=~"warning|info", a!=""}`
)

// withEnd changes a firing alert to one that has ended.
func withEnd(details string) string {
	return strings.Replace(details, `"startsAt"`, `"resolved":true, "startsAt"`, 1)
}

func labelled(pairs ...string) grouping.Labels {
	var list []grouping.Label
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, grouping.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return grouping.LabelsOf(list)
}

var (
	ofTeam = grouping.ObservedGroup{Receiver: "team", GroupKey: `{}:{a="b"}`, GroupLabels: labelled("a", "b")}
	firing = grouping.NotifiedAlert{
		Fingerprint: "000000000000000a", Status: grouping.StatusFiring, Labels: labelled("a", "b", "c", "d"), Annotations: labelled("s", "t"),
		StartsAt: wiretest.EventTime.Add(-time.Hour + 500*time.Millisecond),
	}
	theSilence = grouping.Silence{
		ID: "s1", CreatedBy: "jo", Comment: "why", MatcherSets: [][]grouping.SilenceMatcher{{{Name: "a", Type: "=", Value: "b"}}},
		StartsAt: wiretest.EventTime.Add(-30 * time.Minute), EndsAt: wiretest.EventTime.Add(2 * time.Hour),
		UpdatedAt: wiretest.EventTime.Add(-29 * time.Minute),
	}
)

func anAlert(alert grouping.NotifiedAlert, final bool) []grouping.Observation {
	return []grouping.Observation{{Alert: &grouping.ObservedAlert{Group: ofTeam, Alert: alert, Final: final}}}
}

func resolvedAlert() grouping.NotifiedAlert {
	a := firing
	a.Status, a.EndsAt = grouping.StatusResolved, wiretest.EventTime.Add(4*time.Minute)
	return a
}

func inhibition(id, rule string) grouping.Observation {
	return grouping.Observation{Muted: &grouping.ObservedMute{
		Fingerprint: firing.Fingerprint, Labels: firing.Labels,
		Mute: grouping.Mute{Kind: grouping.MuteInhibition, ID: id, Rule: rule, From: grouping.OriginEvent},
	}}
}

func silencing(s grouping.Silence) []grouping.Observation {
	return []grouping.Observation{{Muted: &grouping.ObservedMute{
		Fingerprint: firing.Fingerprint, Labels: firing.Labels, Silence: &s,
		Mute: grouping.Mute{Kind: grouping.MuteSilence, ID: s.ID, From: grouping.OriginEvent},
	}}}
}

// delivered is a delivery of the third flush.
func delivered(reason string, firing, resolved, muted []grouping.Fingerprint) []grouping.Observation {
	return []grouping.Observation{{Delivery: &grouping.ObservedDelivery{
		Group: ofTeam, Firing: firing, Resolved: resolved, Muted: muted,
		Delivery: grouping.Delivery{
			Receiver: "team", Integration: "slack", Index: 1, Reason: reason, Firing: len(firing), Resolved: len(resolved), Flush: "u/3",
		},
	}}}
}

// Each type of event says the same in both forms.
func TestObservations(t *testing.T) {
	const flush = `"flushId":"3", "integration":{"name":"slack", "index":"1"}, "repeatInterval":"3600s"`
	setsOf := func(s string) string {
		return strings.Replace(s, `"startsAt"`, `"matcherSets":[{"matchers":[{"type":"TYPE_REGEXP","name":"x","pattern":"y.*"},`+
			`{"type":"TYPE_NOT_EQUAL","name":"z"}]},{"matchers":[{"type":"TYPE_NOT_REGEXP","name":"k","pattern":"v"}]}], `+
			`"annotations":{"ticket":"7"}, "startsAt"`, 1)
	}
	withSets := theSilence
	withSets.Annotations = labelled("ticket", "7")
	withSets.MatcherSets = [][]grouping.SilenceMatcher{
		{{Name: "x", Type: "=~", Value: "y.*"}, {Name: "z", Type: "!="}}, {{Name: "k", Type: "!~", Value: "v"}},
	}
	aa, bb := []grouping.Fingerprint{"000000000000000a"}, []grouping.Fingerprint{"000000000000000b"}
	cc := []grouping.Fingerprint{"000000000000000c"}
	none := []grouping.Fingerprint{}
	tests := map[string]struct {
		data []string // each says the same
		want []grouping.Observation
	}{
		"alertCreated": {[]string{`"alertCreated":{"alert":{"labels":{"a":"b"}}}`}, nil},
		"alertGrouped": {[]string{
			`"alertGrouped":{"alert":{"fingerprint":"10", ` + fires035 + `}, ` + inGroup035 + `}`,
			`"alertGrouped":{"alert":{"hash":"77", ` + fires034 + `}, ` + inGroup034 + `}`,
		}, anAlert(firing, false)},
		"alertGrouped that ended": {[]string{
			`"alertGrouped":{"alert":{` + withEnd(fires035) + `}, ` + inGroup035 + `}`,
			`"alertGrouped":{"alert":{` + withEnd(fires034) + `}, ` + inGroup034 + `}`,
			`"alertGrouped":{"alert":{` + strings.Replace(withEnd(fires034), "03:04:00Z", "05:04:00+02:00", 1) + `}, ` + inGroup034 + `}`,
		}, anAlert(resolvedAlert(), false)},
		"alertResolved": {[]string{
			`"alertResolved":{"alert":{` + withEnd(fires035) + `}, ` + inGroup035 + `}`,
			`"alertResolved":{"alert":{` + withEnd(fires034) + `}, ` + inGroup034 + `}`,
			`"alertResolved":{"alert":{` + fires034 + `}, ` + inGroup034 + `}`,
		}, anAlert(resolvedAlert(), true)},
		"notification": {[]string{
			`"notification":{"alerts":[{"fingerprint":"10", ` + fires035 + `}, {"fingerprint":"99"}], "firingAlerts":[{"fingerprint":"10"}], ` +
				`"resolvedAlerts":[{"fingerprint":"11"}], "mutedAlerts":[{"fingerprint":"12"}], ` + flushed035 + `, ` +
				`"reason":"NOTIFY_REASON_NEW_ALERTS_IN_GROUP", ` + flush + `}`,
		}, delivered("new alerts added", aa, bb, cc)},
		"notification of hashes": {[]string{
			`"notification":{"alerts":[{"hash":"77", ` + fires034 + `}], "firingAlerts":[{"hash":"77"}], "resolvedAlerts":[{"hash":"78"}], ` +
				`"mutedAlerts":[{"hash":"79"}], ` + flushed034 + `, "reason":"NOTIFY_REASON_REPEAT_INTERVAL_ELAPSED", ` + flush + `}`,
		}, delivered("repeat interval elapsed", aa, none, none)},
		"notification of a later reason": {[]string{
			`"notification":{"resolvedAlerts":[{"fingerprint":"11"}], ` + flushed035 + `, "reason":"NOTIFY_REASON_FULL_MOON", ` + flush + `}`,
		}, delivered("", none, bb, none)},
		"silenceCreated": {
			[]string{
				`"silenceCreated":{` + aSilence + `}`,
				`"silenceUpdated":{` + aSilence + `}`,
			},
			[]grouping.Observation{{Silence: &theSilence}},
		},
		"silence of sets": {[]string{`"silenceUpdated":{` + setsOf(aSilence) + `}`}, []grouping.Observation{{Silence: &withSets}}},
		"silenceMutedAlert": {
			[]string{
				`"silenceMutedAlert":{` + aSilence + `, ` + muted035 + `}`,
				`"silenceMutedAlert":{` + aSilence + `, ` + muted034 + `}`,
			},
			silencing(theSilence),
		},
		"inhibitionMutedAlert": {
			[]string{
				`"inhibitionMutedAlert":{"inhibitRules":[{"name":"r", ` + rule + `}], ` + muted035 + `, "inhibitingFingerprints":["11"]}`,
			},
			[]grouping.Observation{inhibition("000000000000000b", "r")},
		},
		"inhibition without a name": {
			[]string{
				`"inhibitionMutedAlert":{"inhibitRules":[{` + rule + `}], ` + muted034 + `, "inhibitingFingerprints":["11"]}`,
			},
			[]grouping.Observation{inhibition("000000000000000b", ruleWords)},
		},
		"inhibition of equal labels": {
			[]string{`"inhibitionMutedAlert":{"inhibitRules":[{` + rule + `, "equalLabels":["x","y"]}], ` + muted034 +
				`, "inhibitingFingerprints":["11"]}`},
			[]grouping.Observation{inhibition("000000000000000b", ruleWords+" with equal x, y")},
		},
		"inhibition by two": {
			[]string{
				`"inhibitionMutedAlert":{"inhibitRules":[{"name":"r"}], ` + muted035 + `, "inhibitingFingerprints":["11","12"]}`,
			},
			[]grouping.Observation{inhibition("000000000000000b", "r"), inhibition("000000000000000c", "r")},
		},
		"inhibition by nothing": {[]string{`"inhibitionMutedAlert":{` + muted035 + `}`}, []grouping.Observation{inhibition("", "")}},
		"startup": {
			[]string{
				`"alertmanagerStartupEvent":{"version":"0.35.0","buildContext":"x"}`,
			},
			[]grouping.Observation{{Started: &grouping.ObservedStart{Version: "0.35.0"}}},
		},
		"shutdown": {[]string{`"alertmanagerShutdownEvent":{}`}, []grouping.Observation{{Started: &grouping.ObservedStart{}}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range tc.want {
				tc.want[i].Origin, tc.want[i].Instance, tc.want[i].At = grouping.OriginEvent, "am-0", wiretest.EventTime
			}
			for _, data := range tc.data {
				require.Equal(t, tc.want, observe(t, wiretest.Event(0, "am-0", data)), data)
			}
		})
	}
}

// An alert without a usable fingerprint has that of its labels.
func TestObservedAlertsHaveAFingerprint(t *testing.T) {
	nameless := strings.Replace(fires035, `"fingerprint":"10", `, "", 1)
	all := observe(t, wiretest.Event(0, "am-0", `"alertGrouped":{"alert":{`+nameless+`}, `+inGroup035+`}`))
	require.Equal(t, labelled("a", "b", "c", "d").Fingerprint(), all[0].Alert.Alert.Fingerprint)
	all = observe(t, wiretest.Event(0, "am-0", `"inhibitionMutedAlert":{"mutedAlert":{"labels":{"a":"b"}}}`))
	require.Equal(t, labelled("a", "b").Fingerprint(), all[0].Muted.Fingerprint)
}

func TestRuleTextsAreBounded(t *testing.T) {
	long := strings.Repeat("é", maxRule)
	for _, rule := range []wire.InhibitRule{
		{Name: long},
		{SourceMatchers: []wire.EventMatcher{{Name: "a", Type: "=", Pattern: long}}},
		{SourceMatchers: make([]wire.EventMatcher, 100_000)},
	} {
		text := ruleText(&rule)
		require.LessOrEqual(t, len(text), maxRule)
		require.True(t, strings.HasSuffix(text, "…"), text)
		require.Equal(t, text, strings.ToValidUTF8(text, "?"))
	}
}

// An event beyond the limits is refused with its place and its reason, and without what it
// says.
func TestRefusedEvents(t *testing.T) {
	const secret = "hunter2"
	many := func(n int, format string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(format, i))
		}
		return strings.Join(list, ",")
	}
	grouped := func(old, replaced string) string {
		whole := `"alertGrouped":{"alert":{` + fires035 + `}, ` + inGroup035 + `}`
		require.Contains(t, whole, old)
		return strings.Replace(whole, old, replaced, 1)
	}
	created := func(old, replaced string) string {
		whole := `"silenceCreated":{` + aSilence + `}`
		require.Contains(t, whole, old)
		return strings.Replace(whole, old, replaced, 1)
	}
	huge := strings.Repeat(secret, maxText)
	tests := map[string]struct{ data, reason, text string }{
		"a type": {
			`"alertPondered":{"x":"` + secret + `"}`,
			eventRefusedType, `the type "alertPondered" is not known to this version`,
		},
		"no type":  {``, eventRefusedMalformed, `the event has no type: "data" is missing or empty`},
		"a string": {`"alertGrouped":"` + secret + `"`, eventRefusedMalformed, "alertGrouped: must not be a JSON string"},
		"no details": {
			`"alertGrouped":{` + inGroup035 + `}`,
			eventRefusedMalformed, "alertGrouped.alert.details: is missing",
		},
		"no group": {
			`"alertResolved":{"alert":{` + fires035 + `}}`,
			eventRefusedMalformed, "alertResolved.groupInfo.groupKey: is missing",
		},
		"no receiver": {grouped(`"team"`, `""`), eventRefusedMalformed, "alertGrouped.groupInfo.receiverName: is missing"},
		"a fingerprint": {
			grouped(`"10"`, `"`+secret+`"`),
			eventRefusedMalformed, "alertGrouped.alert.details.fingerprint: must be a decimal number of 64 bits in a string",
		},
		"a label": {
			grouped(`"c":"d"`, `"c":{"x":"`+secret+`"}`),
			eventRefusedMalformed, "alertGrouped.alert.details.labels: must be texts by name, or a list of such pairs",
		},
		"a label twice": {
			grouped(`"c":"d"`, `"a":"`+secret+`"`),
			eventRefusedMalformed, "alertGrouped.alert.details.labels.a: is a duplicate name",
		},
		"no UTF-8": {
			grouped(`"c":"d"`, `"c":"`+secret+"\xff"+`"`),
			eventRefusedMalformed, "alertGrouped.alert.details.labels.c: is not valid UTF-8",
		},
		"labels": {
			grouped(`"a":"b","c":"d"`, many(21, `"l%d":"x"`)),
			eventRefusedLabels, "alertGrouped.alert.details: has 21 labels and 1 annotations, the limit of each is 20",
		},
		"annotations": {
			grouped(`"s":"t"`, many(21, `"l%d":"x"`)),
			eventRefusedLabels, "alertGrouped.alert.details: has 2 labels and 21 annotations, the limit of each is 20",
		},
		"group labels": {
			grouped(`"groupLabels":{"a":"b"}`, `"groupLabels":{`+many(21, `"l%d":"x"`)+`}`),
			eventRefusedLabels, "alertGrouped.groupInfo.groupLabels: has 21 labels and 0 annotations, the limit of each is 20",
		},
		"no start": {
			grouped(`"startsAt":"2026-11-23T02:00:00.5Z", `, ""),
			eventRefusedTime, "alertGrouped.alert.details.startsAt: is missing",
		},
		"an odd start": {
			grouped("2026-11-23T02:00:00.5Z", secret),
			eventRefusedTime, "alertGrouped.alert.details.startsAt: is not an RFC 3339 time",
		},
		"year 10000": {
			grouped("2026-11-23T02:00:00.5Z", "9999-12-31T23:00:00-05:00"),
			eventRefusedTime, "alertGrouped.alert.details.startsAt: must be between the years 0 and 9999 in UTC",
		},
		"no end": {
			strings.Replace(grouped(`"startsAt"`, `"resolved":true, "startsAt"`), `, "endsAt":"2026-11-23T03:04:00Z"`, "", 1),
			eventRefusedTime, "alertGrouped.alert.details.endsAt: is missing",
		},
		"a group told": {
			`"notification":{"firingAlerts":[` + many(10_001, `{"fingerprint":"%d"}`) + `], ` + inGroup035 + `}`,
			eventRefusedSize, "notification: has 10001 alerts, the limit is 10000",
		},
		"no group told": {`"notification":{}`, eventRefusedMalformed, "notification.groupInfo.groupKey: is missing"},
		"no silence ID": {created(`"s1"`, `""`), eventRefusedMalformed, "silenceCreated.silence.id: is missing"},
		"a comment": {
			created(`"why"`, `"`+huge+`"`),
			eventRefusedSize, "silenceCreated.silence.comment: has more than 32768 bytes",
		},
		"an author": {
			created(`"jo"`, `"`+huge+`"`),
			eventRefusedSize, "silenceCreated.silence.createdBy: has more than 32768 bytes",
		},
		"a matcher": {
			created(`"pattern":"b"`, `"pattern":"`+huge+`"`),
			eventRefusedSize, "silenceCreated.silence: has a matcher of more than 32768 bytes",
		},
		"matchers": {
			created(`{"type":"TYPE_EQUAL","name":"a","pattern":"b"}`, many(21, `{"type":"TYPE_EQUAL","name":"a","pattern":"%d"}`)),
			eventRefusedSize, "silenceCreated.silence: has more than 20 matchers",
		},
		"matcher sets": {
			created(`"startsAt"`, `"matcherSets":[`+strings.Repeat(`{},`, 20)+`{}], "startsAt"`),
			eventRefusedSize, "silenceCreated.silence: has more than 20 matchers",
		},
		"a matcher of an unknown type": {
			created("TYPE_EQUAL", "TYPE_"+secret),
			eventRefusedMalformed, "silenceCreated.silence.matchers[0].type: is not a type of matchers",
		},
		"no end of a silence": {
			created(`"endsAt":"2026-11-23T05:00:00Z", `, ""),
			eventRefusedTime, "silenceCreated.silence.endsAt: is missing",
		},
		"silence annotations": {
			created(`"comment"`, `"annotations":{`+many(21, `"l%d":"x"`)+`}, "comment"`),
			eventRefusedLabels, "silenceCreated.silence: has 0 labels and 21 annotations, the limit of each is 20",
		},
		"a silenced alert": {
			`"silenceMutedAlert":{` + aSilence + `, "mutedAlert":{"labels":{` + many(21, `"l%d":"x"`) + `}}}`,
			eventRefusedLabels, "silenceMutedAlert.mutedAlert: has 21 labels and 0 annotations, the limit of each is 20",
		},
		"no silence": {`"silenceMutedAlert":{}`, eventRefusedMalformed, "silenceMutedAlert.silence.id: is missing"},
		"an inhibited alert": {
			`"inhibitionMutedAlert":{"mutedAlert":{"labels":{` + many(21, `"l%d":"x"`) + `}}}`,
			eventRefusedLabels, "inhibitionMutedAlert.mutedAlert: has 21 labels and 0 annotations, the limit of each is 20",
		},
		"inhibiting alerts": {
			`"inhibitionMutedAlert":{"inhibitingFingerprints":[` + many(21, `"%d"`) + `]}`,
			eventRefusedSize, "inhibitionMutedAlert: has 21 rules or inhibiting alerts, the limit is 10",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			bad := refused(t, wiretest.Event(0, "am-0", tc.data))
			require.Equal(t, tc.text, bad.text())
			require.Equal(t, tc.reason, bad.reason)
			require.NotContains(t, bad.text(), secret)
			require.Contains(t, eventRefusalReasons(), bad.reason)
		})
	}
	for text, event := range map[string]string{
		"@timestamp: is more than 24h0m0s ahead of the clock of Muster": wiretest.Event(25*time.Hour, "am-0", `"alertCreated":{}`),
		`the event has no time: "@timestamp" is missing`:                `{"data":{"alertCreated":{}}}`,
		"@timestamp: is not an RFC 3339 time":                           `{"@timestamp":"hunter2","data":{"alertCreated":{}}}`,
		"@timestamp: must be between the years 0 and 9999 in UTC":       `{"@timestamp":"9999-12-31T23:00:00-05:00","data":{"alertCreated":{}}}`,
		"instance: has more than 255 bytes":                             wiretest.Event(0, strings.Repeat(secret, 40), `"alertCreated":{}`),
		"instance: must not be a JSON number":                           `{"@timestamp":"2026-11-23T03:00:00Z","instance":7,"data":{}}`,
		"data: must not be a JSON array":                                `{"@timestamp":"2026-11-23T03:00:00Z","data":[]}`,
		"must not be a JSON number":                                     `7`,
	} {
		require.Equal(t, text, refused(t, event).text())
	}
}

// refused returns why an event is refused.
func refused(t *testing.T, event string) *eventError {
	t.Helper()
	for raw, err := range wire.RawEvents([]byte(event)) {
		require.NoError(t, err)
		e, err := raw.Decode()
		if err != nil {
			return describeEventError(err)
		}
		said, bad := testRules.observations(e, wiretest.EventTime)
		require.Empty(t, said)
		require.NotNil(t, bad)
		return bad
	}
	return nil
}
