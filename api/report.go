package api

import (
	"cmp"
	"time"

	"github.com/gin-gonic/gin"

	"muster/grouping"
	"muster/history"
	"muster/internal/query"
	"muster/internal/reply"
)

// reportRowSize is about the memory of a row of a report.
const reportRowSize = 500

// reportView is a report as the API answers it. Fields are omitted if nothing is known to
// say: the numbers of the window before if the history does not have it, and durations and
// shares if no episode ended.
type reportView struct {
	Since        time.Time       `json:"since"`
	Until        time.Time       `json:"until"`
	KnownSince   time.Time       `json:"knownSince,omitzero"`
	Before       *windowView     `json:"before,omitempty"`
	Totals       reportRowView   `json:"totals"`
	TotalsBefore *reportRowView  `json:"totalsBefore,omitempty"`
	By           []reportRowView `json:"by"`
	Receivers    []receiverView  `json:"receivers"`
	Heat         [7][24]int      `json:"heat"`
	Days         []reportDayView `json:"days"`
	Gaps         []grouping.Gap  `json:"gaps"`
}

type windowView struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// reportRowView has the numbers of all alerts, or of those with a key.
type reportRowView struct {
	Key               string   `json:"key"`
	Firings           int      `json:"firings"`
	FiringsBefore     *int     `json:"firingsBefore,omitempty"`
	SecondsFiring     float64  `json:"secondsFiring"`
	Ended             int      `json:"ended"`
	MedianSeconds     *float64 `json:"medianSeconds,omitempty"`
	P90Seconds        *float64 `json:"p90Seconds,omitempty"`
	UnknownEnds       int      `json:"unknownEnds"`
	Flaps             int      `json:"flaps"`
	FlappedAlerts     int      `json:"flappedAlerts"`
	SelfResolvedShare *float64 `json:"selfResolvedShare,omitempty"`
	SuppressedShare   *float64 `json:"suppressedShare,omitempty"`
	Acknowledged      *float64 `json:"acknowledged,omitempty"` // the share
	AckMedianSeconds  *float64 `json:"acknowledgedMedianSeconds,omitempty"`
	// CriticalAcknowledged is the share of the critical ones.
	CriticalAcknowledged *float64  `json:"criticalAcknowledged,omitempty"`
	Notifications        int       `json:"notifications"`
	LastAt               time.Time `json:"lastAt,omitzero"`
}

type receiverView struct {
	Receiver      string         `json:"receiver"`
	Notifications int            `json:"notifications"`
	ByReason      map[string]int `json:"byReason"`
}

type reportDayView struct {
	Day        string         `json:"day"`
	Firings    int            `json:"firings"`
	BySeverity map[string]int `json:"bySeverity"`
}

// unknownReason stands for a reason that Alertmanager did not send.
const unknownReason = "unknown"

// serveReport answers with a report. As CSV and as lines of JSON it has its rows only.
func (d *Door) serveReport(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	asked := params.Report(time.Now())
	format := params.Format()
	if err := queryError(params, &asked.Filter); err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	report, err := d.Past.Report(c.Request.Context(), asked.Query())
	if err != nil {
		reply.Error(c, d.Logger, err)
		return
	}
	held := int64(len(report.Rows)) * reportRowSize
	if format == query.FormatJSON {
		d.streamJSON(c, held, func(out *jsonStream) { out.writeValue(viewReport(report)) })
		return
	}
	d.export(c, format, tableOrLines{
		name: "report", held: held, columns: reportColumns,
		table: func(out *csvStream) {
			for i := range report.Rows {
				if out.failed() {
					return
				}
				writeReportRow(out, viewReportRow(&report.Rows[i], report.Before != nil))
			}
		},
		lines: func(out *jsonStream) {
			for i := range report.Rows {
				if out.failed() {
					return
				}
				out.writeValue(viewReportRow(&report.Rows[i], report.Before != nil))
				out.endLine()
			}
		},
	})
}

func viewReport(r *history.Report) reportView {
	v := reportView{
		Since: r.Since.UTC(), Until: r.Until.UTC(), KnownSince: r.KnownSince.UTC(), Totals: viewReportRow(&r.Totals, r.Before != nil),
		By: make([]reportRowView, 0, len(r.Rows)), Receivers: make([]receiverView, 0, len(r.Receivers)), Heat: r.Heat,
		Days: make([]reportDayView, 0, len(r.Days)), Gaps: append([]grouping.Gap{}, r.Gaps...),
	}
	if r.Before != nil {
		before := viewReportRow(&r.TotalsBefore, false)
		v.Before, v.TotalsBefore = &windowView{r.Before.Since.UTC(), r.Before.Until.UTC()}, &before
	}
	for i := range r.Rows {
		v.By = append(v.By, viewReportRow(&r.Rows[i], r.Before != nil))
	}
	for _, received := range r.Receivers {
		reasons := make(map[string]int, len(received.ByReason))
		for reason, n := range received.ByReason {
			reasons[cmp.Or(reason, unknownReason)] = n
		}
		v.Receivers = append(v.Receivers, receiverView{received.Receiver, received.Notifications, reasons})
	}
	for _, day := range r.Days {
		severities := map[string]int{}
		for severity, n := range day.BySeverity {
			if n > 0 {
				severities[grouping.Severity(severity).String()] = n
			}
		}
		v.Days = append(v.Days, reportDayView{day.Day.Format(time.DateOnly), day.Firings, severities})
	}
	return v
}

func viewReportRow(r *history.Row, compared bool) reportRowView {
	v := reportRowView{
		Key: r.Key, Firings: r.Firings, SecondsFiring: r.Firing.Seconds(), Ended: r.Ended, UnknownEnds: r.UnknownEnds, Flaps: r.Flaps,
		FlappedAlerts: r.Flapped, Notifications: r.Notifications, LastAt: r.LastAt,
	}
	if compared {
		v.FiringsBefore = &r.FiringsBefore
	}
	if selfResolved, ok := r.Share(r.SelfResolved); ok {
		suppressed, _ := r.Share(r.Suppressed)
		median, p90 := r.Median.Seconds(), r.P90.Seconds()
		v.MedianSeconds, v.P90Seconds, v.SelfResolvedShare, v.SuppressedShare = &median, &p90, &selfResolved, &suppressed
		acknowledged, _ := r.Share(r.Acknowledged)
		v.Acknowledged = &acknowledged
	}
	if r.Acknowledged > 0 {
		after := r.AckMedian.Seconds()
		v.AckMedianSeconds = &after
	}
	if r.Critical > 0 {
		critical := float64(r.CriticalAcknowledged) / float64(r.Critical)
		v.CriticalAcknowledged = &critical
	}
	return v
}

var reportColumns = []string{
	"key", "firings", "firingsBefore", "secondsFiring", "ended", "medianSeconds", "p90Seconds", "unknownEnds", "flaps", "flappedAlerts",
	"selfResolvedShare", "suppressedShare", "acknowledged", "acknowledgedMedianSeconds", "criticalAcknowledged", "notifications", "lastAt",
}

// writeReportRow writes a row in the order of reportColumns. What is not known is empty.
func writeReportRow(out *csvStream, v reportRowView) {
	number := func(f *float64) {
		if f == nil {
			out.writeText("")
			return
		}
		out.writeFloat(*f)
	}
	out.writeText(v.Key)
	out.writeInt(int64(v.Firings))
	if v.FiringsBefore == nil {
		out.writeText("")
	} else {
		out.writeInt(int64(*v.FiringsBefore))
	}
	out.writeFloat(v.SecondsFiring)
	out.writeInt(int64(v.Ended))
	number(v.MedianSeconds)
	number(v.P90Seconds)
	out.writeInt(int64(v.UnknownEnds))
	out.writeInt(int64(v.Flaps))
	out.writeInt(int64(v.FlappedAlerts))
	number(v.SelfResolvedShare)
	number(v.SuppressedShare)
	number(v.Acknowledged)
	number(v.AckMedianSeconds)
	number(v.CriticalAcknowledged)
	out.writeInt(int64(v.Notifications))
	out.writeTime(v.LastAt)
	out.endRow()
}
