package demo

import (
	"context"
	"log/slog"
	"time"

	"muster/grouping"
)

// people is what the story needs of the domain for what people write. To repeat a write changes
// nothing.
type people interface {
	Acknowledge(ctx context.Context, id grouping.ID, r grouping.AckRequest) (*grouping.AlertGroup, error)
	AddNote(ctx context.Context, id grouping.ID, r grouping.NoteRequest) (*grouping.AlertGroup, error)
}

// act is what a person writes about a group of the story, at a time relative to its start: an
// acknowledgement, or a note.
type act struct {
	at   time.Duration
	by   string
	ack  bool
	text string
}

// write writes what people write about the group now.
func (g *group) write(ctx context.Context, to people, logger *slog.Logger, start, now time.Time) {
	id := grouping.Key{Source: grouping.DefaultSource, Receiver: g.receiver, GroupKey: g.key()}.ID()
	for len(g.acts) > 0 && now.Sub(start) >= g.acts[0].at {
		do := g.acts[0]
		g.acts = g.acts[1:]
		by := grouping.Person{Name: do.by}
		var err error
		if do.ack {
			_, err = to.Acknowledge(ctx, id, grouping.AckRequest{By: by, Note: do.text})
		} else {
			_, err = to.AddNote(ctx, id, grouping.NoteRequest{By: by, Text: do.text})
		}
		if err != nil && ctx.Err() == nil {
			logger.Warn("Write of the demo rejected", "err", err, "groupKey", g.key())
		}
	}
}
