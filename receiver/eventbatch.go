package receiver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"muster/grouping"
	"muster/internal/limit"
	"muster/internal/wire"
)

const (
	// maxEvents is the maximum number of events of a body. The largest batches that we
	// recommend have 5,000.
	maxEvents = 100_000
	// maxRefusedEvents is the maximum number of refused events of a body. The rest of the
	// body is then not read.
	maxRefusedEvents = 1000
	// maxObservedSize is the decoded size from which the first events of a body are kept
	// before the next ones are decoded. So a large body needs little memory.
	maxObservedSize = 32 << 20
	// maxHeardInstances is the maximum number of Alertmanagers in one body. Each sends its
	// own requests.
	maxHeardInstances = 16
	// observeTimeout limits the time of keeping events. Alertmanager waits 10 s, and each
	// second of it may hold up its stop.
	observeTimeout = 5 * time.Second
)

// eventBatch keeps the events of one body.
type eventBatch struct {
	door   *Door
	in     *admitted
	now    time.Time
	source uint64 // hash of the source
	sum    hash.Hash

	index   int   // of the next event
	decoded int64 // estimated size of what is decoded and not kept

	// What is decoded and not kept: the observations, and what to remember of their events.
	observations []grouping.Observation
	events       []keptEvent
	types        []string // of events

	kept, ignored int
	received      map[string]int // number of kept and ignored events by type
	refused       refusedEvents
	heard         []grouping.Heard
}

func (d *Door) newEventBatch(in *admitted, now time.Time) *eventBatch {
	return &eventBatch{
		door: d, in: in, now: now, source: d.saidEvents.sourceIn(in.source), sum: sha256.New(), received: map[string]int{},
	}
}

// keep keeps the events of the body. A refused event costs no other one. It returns a
// refusal if the sender should send the body again, or if the body has no events at all.
func (b *eventBatch) keep(ctx context.Context) *refusal {
	body := b.in.body.bytes()
	for raw, err := range wire.RawEvents(body) {
		switch {
		case err != nil && b.index == 0:
			return refuse(http.StatusBadRequest, limit.BadMessage, "%s", describeBody(err))
		case err != nil:
			b.refused.add(b.index, refuseEvent(eventRefusedMalformed, "", "%s, the rest is left out", describeBody(err)))
			return b.flush(ctx)
		case b.index >= maxEvents || b.refused.count >= maxRefusedEvents:
			b.refused.add(b.index, refuseEvent(eventRefusedSize, "", "the rest of the body is left out"))
			return b.flush(ctx)
		}
		if refused := b.add(ctx, raw); refused != nil {
			return refused
		}
		b.index++
	}
	return b.flush(ctx)
}

// add decodes an event, unless it says nothing new.
func (b *eventBatch) add(ctx context.Context, raw wire.RawEvent) *refusal {
	memory := b.door.saidEvents
	signature, ok := raw.Signature()
	if ok {
		signature ^= b.source
	}
	if b.skip(raw, signature, ok) {
		return nil
	}
	event := keptEvent{signature: signature, sum: sumIn(b.sum, b.in.source, raw.Text)}
	if memory.wasKept(event.sum) {
		b.ignored++
		return nil
	}
	if refused := b.reserve(ctx, decodedSize(raw.Text)); refused != nil {
		return refused
	}
	e, err := raw.Decode()
	if err != nil {
		if refused := b.refuseOther(raw.Text); refused != nil {
			return refused
		}
		b.refused.add(b.index, describeEventError(err))
		return nil
	}
	said, bad := b.door.rules.observations(e, b.now)
	if bad != nil {
		b.refused.add(b.index, bad)
		return nil
	}
	version := ""
	if e.Data.Startup != nil {
		version = e.Data.Startup.Version
	}
	b.hear(e.At, []byte(e.Instance), version)
	if len(said) == 1 && said[0].Alert != nil {
		event.alert, event.content = memory.alertIn(b.in.source, said[0].Alert)
		event.at = e.At
	}
	b.observations = append(b.observations, said...)
	b.events = append(b.events, event)
	b.types = append(b.types, e.Data.Type())
	return nil
}

// skip counts an event that need not be decoded, and reports whether it is one: it says
// nothing new, or it says that an alert was created, which alertGrouped says too.
func (b *eventBatch) skip(raw wire.RawEvent, signature uint64, isGrouped bool) bool {
	name := "alertGrouped"
	switch {
	case isGrouped:
		if !b.door.saidEvents.saysNothingNew(signature, b.now) {
			return false
		}
	case raw.IsAlertCreated():
		name = "alertCreated"
	default:
		return false
	}
	at, instance, ok := raw.Origin()
	if !ok || checkOrigin(at, len(instance), b.now) != nil {
		return false
	}
	b.ignored++
	b.received[name]++
	b.hear(at, instance, "")
	return true
}

// reserve makes room for a decoded event. If there is none, it first keeps what is decoded.
func (b *eventBatch) reserve(ctx context.Context, size int64) *refusal {
	if b.decoded+size > maxObservedSize {
		if refused := b.flush(ctx); refused != nil {
			return refused
		}
	}
	if b.grow(size) {
		return nil
	}
	if refused := b.flush(ctx); refused != nil {
		return refused
	}
	if b.grow(size) {
		return nil
	}
	return b.door.events.refuseLarge()
}

// grow counts the size of a decoded event. It returns false if the limit has no room for it.
// The first small events do not count: they are limited by the number of requests.
func (b *eventBatch) grow(size int64) bool {
	b.decoded += size
	more := b.decoded - b.in.memory.Size()
	if b.decoded <= minCountedSize || more <= 0 || b.in.memory.Grow(more) {
		return true
	}
	b.decoded -= size
	return false
}

// flush gives what is decoded to the domain. Only after that the events are remembered:
// otherwise their repetition would be skipped, although they were not kept.
func (b *eventBatch) flush(request context.Context) *refusal {
	if len(b.observations) > 0 {
		ctx, cancel := context.WithTimeout(request, observeTimeout)
		defer cancel()
		if err := b.door.groups.Observe(ctx, b.in.source, b.observations); err != nil {
			return unstored(request, err)
		}
	}
	b.door.saidEvents.remember(b.events, b.now)
	for _, name := range b.types {
		b.received[name]++
		if name == "alertCreated" {
			b.ignored++ // alertGrouped says it again, with the group
		} else {
			b.kept++
		}
	}
	b.observations, b.events, b.types = nil, b.events[:0], b.types[:0]
	b.decoded = 0
	b.in.memory.Release()
	return nil
}

// hear notes that an Alertmanager sent an event. Version is set if it has just started.
func (b *eventBatch) hear(at time.Time, instance []byte, version string) {
	i := slices.IndexFunc(b.heard, func(h grouping.Heard) bool { return h.Instance == string(instance) })
	if i < 0 {
		if len(b.heard) >= maxHeardInstances {
			return
		}
		i = len(b.heard)
		b.heard = append(b.heard, grouping.Heard{Instance: string(instance), ReceivedAt: b.now})
	}
	h := &b.heard[i]
	h.Events++
	h.Version = cmp.Or(version, h.Version)
	if at.After(h.At) {
		h.At = at.UTC()
	}
}

// refuseOther returns a refusal if the body is something else than an event or an array.
func (b *eventBatch) refuseOther(text jsontext.Value) *refusal {
	if jsontext.Value(b.in.body.bytes()).Kind() == jsontext.KindBeginArray {
		return nil
	}
	if kind := text.Kind(); kind != jsontext.KindBeginObject {
		return refuse(http.StatusBadRequest, limit.BadMessage, "the body must be an event or an array of events, not a JSON %s", jsonKind(kind))
	}
	var n struct {
		GroupKey jsontext.Value `json:"groupKey"`
		Alerts   jsontext.Value `json:"alerts"`
	}
	if json.Unmarshal(text, &n) == nil && len(n.GroupKey) > 0 && len(n.Alerts) > 0 {
		return refuse(http.StatusBadRequest, limit.BadMessage, "this is a notification: send it to %s, and only events to %s", Path, EventsPath)
	}
	return nil
}

// isEvent reports whether a body that is not a notification begins with an event.
func isEvent(body []byte) bool {
	for raw, err := range wire.RawEvents(body) {
		if err != nil {
			return false
		}
		_, err := raw.Decode()
		return err == nil
	}
	return false
}

// describeBody says why a body is not JSON.
func describeBody(err error) string {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, io.EOF):
		return "the body is empty"
	case !ok:
		return "the body is invalid"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("the body is incomplete at byte %d", syntax.ByteOffset)
	default:
		return fmt.Sprintf("the body is not JSON at byte %d", syntax.ByteOffset)
	}
}
