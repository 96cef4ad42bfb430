package templates

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Setup is the instruction for a new user: the steps, and which of them are done.
type Setup struct {
	Steps    []SetupStep
	Guessed  bool   // the host is an example, because Muster does not know its own
	Rejected string // "3 notifications were"; empty if Muster rejected no notification
	Status   string // link to the status page
}

// SetupStep is a step of the setup. Lines are to be copied into a configuration.
type SetupStep struct {
	Number int
	Title  string
	Kind   string // required, optional
	Says   string
	Flag   string // a flag that the lines need, in the sentence after Says
	After  string // text after the flag
	Lines  string
	More   string // sentence below the lines
	Done   bool
}

// OnlyFlag reports whether the lines are a flag.
func (s *SetupStep) OnlyFlag() bool { return strings.HasPrefix(s.Lines, "--") }

// setupSource returns the only source, if it has a name of its own.
func (s *Site) setupSource() string {
	names := sortedKeys(s.Totals.Sources)
	if len(names) != 1 || names[0] == "default" {
		return ""
	}
	return names[0]
}

func newSetup(s *Site) *Setup {
	source, l := s.setupSource(), s.Links
	webhook, events, flag := l.Webhook(), l.Configured(l.path("events")), "--alertmanager.url="
	if source != "" {
		webhook, events, flag = webhook+"/"+source, events+"/"+source, flag+source+"="
	}
	steps := []SetupStep{
		{
			Title: "Send notifications to Muster", Kind: "required",
			Says: "Add this receiver to Alertmanager’s configuration, send a route to it, and reload. " +
				"Muster then knows what fires and what is resolved.",
			Lines: "receivers:\n  - name: muster\n    webhook_configs:\n      - url: " + webhook + "\n",
			More: "To send all alerts to Muster and to your other receivers, add the route “- receiver: muster” with “continue: true” " +
				"as the first entry of “routes:”.",
			Done: !s.Totals.LastNotification.IsZero(),
		},
		{
			Title: "Read Alertmanager’s API", Kind: "optional, read-only",
			Says:  "Explains suppressed alerts: who silenced them, until when, or which alert inhibits them. Start Muster with",
			Lines: flag + "http://alertmanager:9093\n",
			Done:  slices.ContainsFunc(sortedKeys(s.Totals.Sources), s.polled),
		},
		s.recorderStep(events),
		{
			Title: "Send a heartbeat", Kind: "recommended",
			Says: "Route an alert that always fires, such as Watchdog, to Muster. Without it, a broken connection looks like a quiet night.",
			Done: len(s.Heartbeats) > 0,
		},
	}
	for i := range steps {
		steps[i].Number = i + 1
	}
	return &Setup{Steps: steps, Guessed: !l.Known()}
}

// recorderStep returns the step for the event recorder, in the form of the Alertmanagers if
// their version is known.
func (s *Site) recorderStep(url string) SetupStep {
	step := SetupStep{
		Title: "Receive Alertmanager’s events", Kind: "optional, Alertmanager 0.34 or newer, 0.33 without batches",
		Says: "Shows each delivery to each receiver, and the exact end of a silenced alert. Start Alertmanager with",
		Flag: "--enable-feature=event-recorder", After: "and add the lines below. Without the flag, it accepts them and discards all events.",
		More: "The defaults of Alertmanager lose events in a burst, so all of these lines matter.",
	}
	for _, r := range s.Sources {
		step.Done = step.Done || !r.Recorder.LastAt.IsZero()
	}
	minor, known := s.alertmanagerMinor()
	if known && minor < firstRecorder {
		step.Lines, step.Flag, step.After, step.More = "", "", "", ""
		step.Says = fmt.Sprintf("Alertmanager 0.%d has no event recorder.", minor)
		return step
	}
	remark := func(line, remark string) string {
		if known {
			return line + "\n"
		}
		return fmt.Sprintf("%-26s# %s\n", line, remark)
	}
	lines := "event_recorder:\n  webhook_outputs:\n"
	switch {
	case known && minor < firstWithNames:
		lines += "    - url: " + url + "\n"
	default:
		lines += remark("    - name: muster", "0.33 and 0.34: leave this line out") + "      url: " + url + "\n"
	}
	if !known || minor >= firstWithBatches {
		lines += remark("      batch: true", "0.33: leave the batch lines out") +
			"      batch_max_events: 5000\n      batch_max_bytes: 16777216\n"
	}
	step.Lines = lines + "      workers: 1\n      max_retries: 10\n"
	return step
}

// The minor versions of Alertmanager 0.x that changed the event recorder.
const (
	firstRecorder    = 33
	firstWithBatches = 34
	firstWithNames   = 35
)

// alertmanagerMinor returns the minor version that all Alertmanagers have, as far as it is
// known from their APIs.
func (s *Site) alertmanagerMinor() (minor int, known bool) {
	for _, r := range s.Sources {
		for _, p := range r.Pollers {
			rest, isZero := strings.CutPrefix(strings.TrimPrefix(p.Version, "v"), "0.")
			text, _, _ := strings.Cut(rest, ".")
			n, err := strconv.Atoi(text)
			if !isZero || err != nil || known && n != minor {
				return 0, false
			}
			minor, known = n, true
		}
	}
	return minor, known
}

// doneSteps says how many steps are done, or "" if all are.
func (s *Setup) doneSteps() string {
	done := 0
	for _, step := range s.Steps {
		if step.Done {
			done++
		}
	}
	if done == len(s.Steps) {
		return ""
	}
	return fmt.Sprintf("%d of %d steps done", done, len(s.Steps))
}
