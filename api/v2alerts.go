package api

import (
	"cmp"
	"hash/maphash"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/alertmanager/pkg/labels"

	"muster/grouping"
	"muster/internal/reply"
)

// v2Query selects alerts as the parameters of Alertmanager do.
type v2Query struct {
	source                             string // "": all
	matchers, receiverMatchers         labels.Matchers
	receiver                           *regexp.Regexp // nil: all
	active, silenced, inhibited, muted bool
}

func (p *v2Params) query(source string) v2Query {
	return v2Query{
		source: source, matchers: p.matchers("filter", ""), receiver: p.receiver(),
		receiverMatchers: p.matchers("receiver_matchers", "failed to parse receiver_matchers param: "),
		active:           p.allows("active"), silenced: p.allows("silenced"), inhibited: p.allows("inhibited"), muted: p.allows("muted"),
	}
}

// receiverLabels returns the labels of a receiver that is configured without any.
func receiverLabels(receiver string) grouping.Labels {
	return grouping.NewLabels(map[string]string{"name": receiver})
}

// ofAllReceivers returns the query for all receivers.
func (q *v2Query) ofAllReceivers() *v2Query {
	all := *q
	all.receiver, all.receiverMatchers = nil, nil
	return &all
}

func (q *v2Query) selectsReceiver(receiver string) bool {
	if q.receiver != nil && !q.receiver.MatchString(receiver) {
		return false
	}
	return len(q.receiverMatchers) == 0 || grouping.AllMatch(q.receiverMatchers, receiverLabels(receiver))
}

// v2Alert is an alert in an answer.
type v2Alert struct {
	*grouping.Alert

	group     *grouping.AlertGroup
	receivers []string
	until     time.Time
	silencedBy, inhibitedBy,
	mutedBy []string
}

// state is that of /alerts. In groups, a time interval suppresses too.
func (a *v2Alert) state() string {
	if len(a.silencedBy)+len(a.inhibitedBy)+len(a.mutedBy) > 0 {
		return "suppressed"
	}
	return "active"
}

// alert returns an alert that fires or is suppressed, if the query selects it.
func (q *v2Query) alert(g *grouping.AlertGroup, a *grouping.Alert) (v v2Alert, ok bool) {
	shown := a.ShownStatus()
	isListed := shown == grouping.StatusFiring || shown == grouping.StatusSuppressed
	if !isListed || !grouping.AllMatch(q.matchers, a.Labels) {
		return v, false
	}
	v = v2Alert{Alert: a, group: g}
	for _, m := range a.Mutes() {
		switch m.Kind {
		case grouping.MuteSilence:
			v.silencedBy = append(v.silencedBy, m.ID)
		case grouping.MuteInhibition:
			// The event recorder may tell the rule alone.
			v.inhibitedBy = append(v.inhibitedBy, cmp.Or(m.ID, m.Rule))
		case grouping.MuteInterval:
			v.mutedBy = append(v.mutedBy, m.ID)
		}
	}
	isActive := len(v.silencedBy)+len(v.inhibitedBy) == 0
	return v, (q.active || !isActive) && (q.silenced || len(v.silencedBy) == 0) && (q.inhibited || len(v.inhibitedBy) == 0)
}

// alertsOf yields the alerts of a group that the query selects.
func (q *v2Query) alertsOf(g *grouping.AlertGroup) iter.Seq[v2Alert] {
	return func(yield func(v2Alert) bool) {
		if q.source != "" && g.Source != q.source || !q.selectsReceiver(g.Receiver) || g.Counts.Firing+g.Counts.Suppressed == 0 {
			return
		}
		for _, a := range g.Alerts {
			if v, ok := q.alert(g, a); ok && !yield(v) {
				return
			}
		}
	}
}

// alertKey tells the alerts of sources apart.
type alertKey struct {
	source      string
	fingerprint grouping.Fingerprint
}

func (a *v2Alert) key() alertKey { return alertKey{a.group.Source, a.Fingerprint} }

// receiverSets has the receivers of alerts. Nearly all alerts are in one group and have the
// receiver of that. Only the others need memory of their own.
type receiverSets struct {
	of    map[alertKey][]string // of the alerts that are in several groups
	alone map[string][]string   // each receiver as a list
}

// receiversOf returns the receivers of the alerts that the query selects in groups.
func (q *v2Query) receiversOf(groups []*grouping.AlertGroup) receiverSets {
	s := receiverSets{map[alertKey][]string{}, map[string][]string{}}
	alerts := 0
	for _, g := range groups {
		s.alone[g.Receiver] = []string{g.Receiver}
		alerts += g.Counts.Firing + g.Counts.Suppressed
	}
	// Another alert may have the hash of an alert, which costs only memory.
	seed, hashes := maphash.MakeSeed(), make([]uint64, 0, alerts)
	for _, g := range groups {
		for a := range q.alertsOf(g) {
			hashes = append(hashes, maphash.Comparable(seed, a.key()))
		}
	}
	slices.Sort(hashes)
	repeated := map[uint64]bool{}
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			repeated[hashes[i]] = true
		}
	}
	if len(repeated) == 0 {
		return s
	}
	for _, g := range groups {
		for a := range q.alertsOf(g) {
			if key := a.key(); repeated[maphash.Comparable(seed, key)] {
				s.add(key, g.Receiver)
			}
		}
	}
	return s
}

// add adds a receiver to an alert.
func (s receiverSets) add(key alertKey, receiver string) {
	known := s.of[key]
	i, found := slices.BinarySearch(known, receiver)
	switch {
	case found:
	case known == nil:
		s.of[key] = s.alone[receiver]
	default:
		s.of[key] = slices.Insert(slices.Clone(known), i, receiver)
	}
}

func (s receiverSets) get(a *v2Alert) []string {
	if several := s.of[a.key()]; several != nil {
		return several
	}
	return s.alone[a.group.Receiver]
}

// serveV2Alerts answers with each alert once. As in Alertmanager, it names all receivers of an
// alert if one of them is asked for. Time intervals are those of groups, so they suppress
// nothing here.
func (d *Door) serveV2Alerts(c *gin.Context) {
	q, groups, ok := d.v2Groups(c)
	if !ok {
		return
	}
	all := q.ofAllReceivers()
	receivers := all.receiversOf(groups)
	type listed struct {
		group *grouping.AlertGroup
		alert *grouping.Alert
	}
	var selected []listed
	for _, g := range groups {
		for a := range all.alertsOf(g) {
			if slices.ContainsFunc(receivers.get(&a), q.selectsReceiver) {
				selected = append(selected, listed{g, a.Alert})
			}
		}
	}
	slices.SortFunc(selected, func(a, b listed) int {
		return cmp.Or(
			cmp.Compare(a.alert.Fingerprint, b.alert.Fingerprint), cmp.Compare(a.group.Source, b.group.Source),
			cmp.Compare(a.group.ID, b.group.ID),
		)
	})
	selected = slices.CompactFunc(selected, func(a, b listed) bool {
		return a.alert.Fingerprint == b.alert.Fingerprint && a.group.Source == b.group.Source
	})
	now := time.Now()
	const held = 16 // bytes of each
	d.streamJSON(c, held*int64(cap(selected)), func(out *jsonStream) {
		out.writeRaw("[")
		for i := range selected {
			if out.failed() {
				return
			}
			a, _ := all.alert(selected[i].group, selected[i].alert)
			a.mutedBy = nil
			a.receivers, a.until = receivers.get(&a), d.firesUntil(&a, now)
			out.writeComma(i)
			out.writeV2Alert(&a)
		}
		out.writeRaw("]\n")
	})
}

func (d *Door) serveV2Groups(c *gin.Context) {
	q, groups, ok := d.v2Groups(c)
	if !ok {
		return
	}
	receivers := q.receiversOf(groups)
	groups = slices.DeleteFunc(groups, func(g *grouping.AlertGroup) bool { return !q.selectsGroup(g) })
	slices.SortFunc(groups, func(a, b *grouping.AlertGroup) int {
		return cmp.Or(compareLabels(a.GroupLabels, b.GroupLabels), cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.ID, b.ID))
	})
	now := time.Now()
	d.streamJSON(c, 0, func(out *jsonStream) {
		var alerts []v2Alert // memory for those of each group
		out.writeRaw("[")
		for i, g := range groups {
			if out.failed() {
				return
			}
			alerts = slices.AppendSeq(alerts[:0], q.alertsOf(g))
			slices.SortFunc(alerts, compareAlerts)
			out.writeComma(i)
			out.writeRaw(`{"alerts":[`)
			for k := range alerts {
				a := &alerts[k]
				a.receivers, a.until = receivers.get(a), d.firesUntil(a, now)
				out.writeComma(k)
				out.writeV2Alert(a)
			}
			out.writeV2Group(g)
		}
		out.writeRaw("]\n")
	})
}

// selectsGroup reports whether the query selects an alert of the group. A time interval mutes a
// group as a whole.
func (q *v2Query) selectsGroup(g *grouping.AlertGroup) (selected bool) {
	for a := range q.alertsOf(g) {
		if len(a.mutedBy) > 0 && !q.muted {
			return false
		}
		selected = true
	}
	return selected
}

// v2Groups returns all groups with the query of a request, or answers it and returns false.
func (d *Door) v2Groups(c *gin.Context) (q v2Query, groups []*grouping.AlertGroup, ok bool) {
	params := parseV2Params(c)
	if q = params.query(c.Param("source")); params.answered(c) {
		return q, nil, false
	}
	groups, err := d.Groups.All(c.Request.Context())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return q, nil, false
	}
	return q, groups, true
}

// compareLabels orders label sets as Alertmanager does: those with fewer labels come first.
func compareLabels(a, b grouping.Labels) int {
	if c := cmp.Compare(a.Len(), b.Len()); c != 0 {
		return c
	}
	for i := range a.Len() {
		aName, aValue := a.At(i)
		bName, bValue := b.At(i)
		// Of two sets, the one that lacks the first name comes first.
		if c := cmp.Or(cmp.Compare(bName, aName), cmp.Compare(aValue, bValue)); c != 0 {
			return c
		}
	}
	return 0
}

// compareAlerts orders the alerts of a group as Alertmanager does: by job, then by instance. One
// without them is last.
func compareAlerts(a, b v2Alert) int {
	for _, name := range []string{"job", "instance"} {
		x, y := a.Labels.Get(name), b.Labels.Get(name)
		switch {
		case x == y:
		case x == "":
			return 1
		case y == "":
			return -1
		default:
			return strings.Compare(x, y)
		}
	}
	return compareLabels(a.Labels, b.Labels)
}

// v2FiringTime is how long an alert still fires if nobody said it.
const v2FiringTime = 5 * time.Minute

// firesUntil returns when an alert ends if nobody posts it again, which is always to come:
// Alertmanager lists no others.
func (d *Door) firesUntil(a *v2Alert, now time.Time) time.Time {
	if until := d.Groups.ListedUntil(a.group.Source, a.Fingerprint); until.After(now) {
		return until
	}
	return now.Add(v2FiringTime)
}

func (o *jsonStream) writeV2Alert(a *v2Alert) {
	if o.err != nil {
		return
	}
	e := o.enc
	seen, _ := a.group.LastSeen(a.Alert)
	e.labels(`{"annotations":`, a.Annotations)
	e.v2Time(`,"endsAt":`, a.until)
	e.string(`,"fingerprint":`, string(a.Fingerprint))
	e.raw(`,"receivers":[`)
	for i, receiver := range a.receivers {
		if i > 0 {
			e.raw(",")
		}
		e.string(`{"name":`, receiver)
		e.raw("}")
	}
	e.v2Time(`],"startsAt":`, a.StartsAt)
	e.list(`,"status":{"inhibitedBy":`, a.inhibitedBy)
	e.list(`,"mutedBy":`, a.mutedBy)
	e.list(`,"silencedBy":`, a.silencedBy)
	e.string(`,"state":`, a.state())
	e.v2Time(`},"updatedAt":`, seen)
	if a.GeneratorURL != "" {
		e.string(`,"generatorURL":`, a.GeneratorURL)
	}
	e.labels(`,"labels":`, a.Labels)
	e.raw("}")
	o.finishValue(nil)
}

// writeV2Group writes a group after its alerts.
func (o *jsonStream) writeV2Group(g *grouping.AlertGroup) {
	if o.err != nil {
		return
	}
	o.enc.labels(`],"labels":`, g.GroupLabels)
	o.enc.string(`,"receiver":{"name":`, g.Receiver)
	o.enc.labels(`},"routeLabels":`, g.RouteLabels)
	o.writeRaw("}")
}
