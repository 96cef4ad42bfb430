package api

import (
	"io"
	"time"

	"muster/grouping"
)

// What the tests over the whole HTTP side need.
const (
	FlushSize  = flushSize
	StreamSize = streamSize
	RingSize   = ringSize
)

// The types of the JSON answers.
type (
	EpisodeView = episodeView
	AlertView   = alertView
	EventView   = eventView
	StatsView   = statsView
	SourceView  = sourceView
	StatusView  = statusView
	BuildView   = buildView
	StorageView = storageView
	PastView    = pastView
	BeforeView  = beforeView

	SilenceView       = silenceView
	MutedView         = mutedView
	MuteView          = muteView
	SilenceChangeView = silenceChangeView
	GapView           = gapView
	SourceStatusView  = sourceStatusView

	AckView     = ackView
	NoteView    = noteView
	ClosingView = closingView

	ReportView         = reportView
	WindowView         = windowView
	ReportRowView      = reportRowView
	ReportReceiverView = receiverView
	ReportDayView      = reportDayView
)

// The functions that make them.
var (
	ViewGroup = func(g *grouping.AlertGroup) GroupView { return viewGroup(g, time.Now(), true) }
	ViewAlert = func(g *grouping.AlertGroup, a *grouping.Alert) alertView { return viewAlert(g, a, nil) }
	ViewEvent = viewEvent

	CompareLabels = compareLabels
)

// CSVRow returns a row of CSV with these texts.
func CSVRow(cells ...string) string {
	out := csvStream{textStream: &textStream{enc: &encoder{}, head: answerHead{media: csvMedia}}}
	for _, cell := range cells {
		out.writeText(cell)
	}
	out.writeRaw("\r\n")
	return string(out.enc.text)
}

// Epoch returns the part of all event IDs that names the process.
func (h *Hub) Epoch() string { return h.epoch }

// SetKeepAlive sets the time between keep-alive events.
func (h *Hub) SetKeepAlive(d time.Duration) { h.opts.KeepAlive = d }

// SeenEvents are the events that a tail wrote.
type SeenEvents struct{ seen *seenEvents }

// MaxSeen is the number of events that a tail remembers.
const MaxSeen = maxSeen

// NewSeenEvents returns no events.
func NewSeenEvents() SeenEvents { return SeenEvents{newSeenEvents()} }

// Add remembers an event, and reports whether it is new.
func (s SeenEvents) Add(id string) bool { return s.seen.add(id) }

// SetStandardOutput sets what stands for the standard output. Call it before Run.
func (l *HistoryLog) SetStandardOutput(w io.Writer) { l.standard = w }
