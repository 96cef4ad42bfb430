package receiver

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/common/version"

	"muster/grouping"
	"muster/internal/negotiate"
	"muster/internal/query"
	"muster/templates"
)

const (
	// pageEvents is the maximum number of events that the page of a group
	// reads.
	pageEvents = 500
	// etagInterval is the time for which an unchanged page keeps its ETag.
	// After it the page must show new ages.
	etagInterval = 5 * time.Second
)

func (s *Server) pageRoutes(r *gin.RouterGroup) {
	pages := r.Group("", s.limitReaders)
	handleGet(pages, "/", s.pageHandler(s.groupsPage))
	for path, handler := range map[string]gin.HandlerFunc{
		"/groups/:id":          s.pageHandler(s.groupPage),
		"/alerts/:fingerprint": s.pageHandler(s.alertPage),
		"/history":             s.pageHandler(s.historyPage),
		"/status":              s.uncachedPageHandler(s.statusPage),
		"/help":                s.uncachedPageHandler(helpPage),
		"/go":                  s.redirectToGroup,
	} {
		handleGet(pages, path, handler)
		handleGet(r, path+"/", s.redirectWithoutSlash)
	}
	for _, path := range []string{"/groups", "/groups/", "/alerts", "/alerts/"} {
		handleGet(r, path, s.redirectHome)
	}
	handleGet(r, "/static/:name", s.serveStatic)
}

// redirectWithoutSlash redirects to the same address without the slash at its
// end.
func (s *Server) redirectWithoutSlash(c *gin.Context) {
	path := strings.TrimPrefix(c.Request.URL.EscapedPath(), strings.TrimRight(s.opts.RoutePrefix, "/"))
	redirect(c, s.links.Prefix+strings.TrimRight(path, "/"))
}

// redirectHome redirects to the list of groups.
func (s *Server) redirectHome(c *gin.Context) { redirect(c, s.links.Home()) }

// redirect redirects to a path and keeps the query. The webhook never
// redirects, because Alertmanager would follow with an empty GET.
func redirect(c *gin.Context, path string) {
	if c.Request.URL.RawQuery != "" {
		path += "?" + c.Request.URL.RawQuery
	}
	c.Redirect(http.StatusFound, path)
}

func (s *Server) serveStatic(c *gin.Context) {
	s.renderer.Static().ServeHTTP(c.Writer, c.Request)
}

// validHost matches a host name or an IP address with an optional port. Docker
// Compose and Swarm use names with underscores.
var validHost = regexp.MustCompile(`^([A-Za-z0-9._-]{1,254}|\[[0-9a-fA-F:.]{2,45}\])(:([0-9]{1,5}))?$`)

// usableHost reports whether the Host header of a request is safe to use in
// links.
func usableHost(host string) bool {
	parts := validHost.FindStringSubmatch(host)
	if parts == nil {
		return false
	}
	_, err := strconv.ParseUint(cmp.Or(parts[3], "0"), 10, 16)
	return err == nil
}

// linksFor returns the links of a page. Without --web.external-url, absolute
// links begin with the host of the request.
func (s *Server) linksFor(r *http.Request) templates.Links {
	if s.links.External != "" || !usableHost(r.Host) {
		return s.links
	}
	links := s.links
	links.External = "http://" + r.Host
	if r.TLS != nil {
		links.External = "https://" + r.Host
	}
	return links
}

// site returns the data that every page shows.
func (s *Server) site(r *http.Request) *templates.Site {
	st := s.storage()
	heartbeats, err := s.groups.Heartbeats(r.Context())
	if err != nil {
		s.logger.Debug("Reading the heartbeats failed", "err", err) // the client disconnected
	}
	return &templates.Site{
		Heartbeats: heartbeats, HeartbeatMatchers: s.opts.Groups.Heartbeats,
		Links: s.linksFor(r), Place: s.live.lastEventID(), Now: time.Now(), Summary: s.summary.get(), Storage: st, StartedAt: s.startedAt,
		RecoveredAt: st.RecoveredAt, WrittenBack: st.WrittenBack, Refused: s.rejections.total(),
		StaleAfter: s.opts.Groups.StaleAfter, Retention: s.opts.Groups.Retention, Demo: s.opts.Demo, Version: version.Version,
	}
}

// summary keeps the counts of all groups up to date.
type summary struct {
	mu      sync.Mutex
	counter templates.Counter // guarded by mu
}

func (s *summary) apply(u grouping.Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter.Update(u.Before, u.Group)
}

func (s *summary) get() templates.Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counter.Summary()
}

// pageHandler returns the handler of a page that depends on the state alone. It
// renders the page once and caches it until the state changes.
func (s *Server) pageHandler(build func(c *gin.Context, site *templates.Site) (templates.Page, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		if s.serveCached(c) {
			return
		}
		s.uncachedPageHandler(build)(c)
	}
}

// uncachedPageHandler returns the handler of a page that is rendered for each
// request.
func (s *Server) uncachedPageHandler(build func(c *gin.Context, site *templates.Site) (templates.Page, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		p, err := build(c, s.site(c.Request))
		if err != nil {
			s.failPage(c, err)
			return
		}
		s.renderPage(c, p)
	}
}

func helpPage(_ *gin.Context, site *templates.Site) (templates.Page, error) {
	return templates.NewHelpPage(site), nil
}

func notFoundPage(_ *gin.Context, site *templates.Site) (templates.Page, error) {
	return templates.NewNotFoundPage(site), nil
}

// renderPage renders a page, sends it, and adds it to the cache if it is
// cacheable.
func (s *Server) renderPage(c *gin.Context, p templates.Page) {
	body, err := s.renderer.Render(p)
	if err != nil {
		s.logger.Error("Rendering a page failed", "handler", c.FullPath(), "err", err)
		c.String(http.StatusInternalServerError, "Rendering this page failed.\n")
		return
	}
	page := renderedPage{code: p.Code(), body: body, gzipped: compress(body)}
	if etag := c.Writer.Header().Get("ETag"); etag != "" && page.code == http.StatusOK {
		s.pages.put(etag, cacheKey(c), page)
	}
	s.sendPage(c, page)
}

// sendPage sends a rendered page. Its bytes count toward the limit on responses
// while they are sent.
func (s *Server) sendPage(c *gin.Context, p renderedPage) {
	c.Header("Vary", "Accept-Encoding")
	body := p.body
	if negotiate.Gzip(c.Request.Header.Values("Accept-Encoding")) {
		c.Header("Content-Encoding", "gzip")
		body = p.gzipped
	}
	hold, ok := s.limits.responseBytes.Take(int64(len(body)))
	if !ok {
		failResponseLimit(c)
		return
	}
	defer hold.Release()
	releaseReader(c)
	c.Header("Content-Length", strconv.Itoa(len(body)))
	c.Data(p.code, "text/html; charset=utf-8", body)
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(body) / 8)
	z, _ := gzipWriters.Get().(*gzip.Writer)
	defer gzipWriters.Put(z)
	z.Reset(&b)
	_, _ = z.Write(body) // a buffer never fails
	_ = z.Close()
	return b.Bytes()
}

// Levels above 5 take much more time and make a page little smaller.
var gzipWriters = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, 5) // the level is valid
	return z
}}

// serveCached answers 304 if the client has the current page, or answers from
// the cache. It returns false if the page must be rendered. The ETag covers the
// state, the storage's health and the time.
func (s *Server) serveCached(c *gin.Context) bool {
	st := s.storage()
	etag := fmt.Sprintf(`W/"%s-%d-%d-%t-%d-%t-%t"`, s.live.epoch, s.live.lastSequence(),
		time.Now().UnixNano()/int64(etagInterval), st.Healthy, st.DirtyGroups, st.Partial, s.rejections.total() > 0)
	c.Header("ETag", etag)
	c.Header("Cache-Control", "no-cache")
	if c.GetHeader("If-None-Match") == etag {
		c.Status(http.StatusNotModified)
		return true
	}
	p, ok := s.pages.get(etag, cacheKey(c))
	if ok {
		s.sendPage(c, p)
	}
	return ok
}

// cacheKey returns the key of a page in the cache. It contains the scheme and
// the host, because links begin with them.
func cacheKey(c *gin.Context) string {
	return fmt.Sprint(c.Request.TLS != nil, c.Request.Host, c.Request.RequestURI)
}

// renderedPage is a page as it is sent, plain and compressed.
type renderedPage struct {
	code          int
	body, gzipped []byte
}

const (
	// maxCachedPages is the maximum number of cached pages. A page has some 60
	// kB.
	maxCachedPages = 64
	// maxCachedBytes is the maximum size of all cached pages, because pages
	// with huge labels are large.
	maxCachedBytes = 8 << 20
)

// pageCache caches rendered pages of the current state. In a storm, many people
// open the same few pages.
type pageCache struct {
	mu    sync.Mutex
	etag  string                  // guarded by mu; of the current state
	pages map[string]renderedPage // guarded by mu; by cache key
	size  int                     // guarded by mu; in bytes
}

func (m *pageCache) get(etag, address string) (renderedPage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.pages[address]
	return p, ok && m.etag == etag
}

func (m *pageCache) put(etag, address string, p renderedPage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	size := len(p.body) + len(p.gzipped)
	if size > maxCachedBytes/4 {
		return
	}
	if m.etag != etag || len(m.pages) >= maxCachedPages || m.size+size > maxCachedBytes {
		m.etag, m.pages, m.size = etag, map[string]renderedPage{}, 0
	}
	m.size += size - len(m.pages[address].body) - len(m.pages[address].gzipped)
	m.pages[address] = p
}

// failPage answers with a page that describes the error.
func (s *Server) failPage(c *gin.Context, err error) {
	if c.Request.Context().Err() != nil {
		c.AbortWithStatus(http.StatusServiceUnavailable) // without an answer the client would read 200
		return
	}
	site := &templates.Site{Links: s.linksFor(c.Request), Now: time.Now(), Storage: s.storage(), Version: version.Version}
	if errors.Is(err, grouping.ErrBadQuery) {
		s.renderPage(c, templates.NewBadQueryPage(site, problemTexts(err)))
		return
	}
	s.logger.Error("Building a page failed", "handler", c.FullPath(), "err", err)
	s.renderPage(c, templates.NewErrorPage(site, http.StatusServiceUnavailable, ""))
}

// problemTexts returns the problems in a grouping.ErrBadQuery, one sentence
// each.
func problemTexts(err error) []string {
	var bad *query.Error
	if !errors.As(err, &bad) {
		return []string{strings.TrimPrefix(err.Error(), grouping.ErrBadQuery.Error()+": ")}
	}
	texts := make([]string, len(bad.Problems))
	for i, p := range bad.Problems {
		texts[i] = p.String()
	}
	return texts
}

func (s *Server) groupsPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseView(params)
	err := params.Err()
	if err != nil {
		return nil, err
	}
	var p *templates.GroupsPage
	if len(v.By) == 0 {
		p, err = s.listPage(ctx, site, v)
	} else {
		p, err = s.byPage(ctx, site, v)
	}
	if err == nil && v.LeavesOutUnreported() && site.Summary.Unreported > 0 {
		q := v.OfUnreported().ListQuery()
		q.Limit = 1
		var unreported grouping.GroupPage
		unreported, err = s.groups.ListGroups(ctx, q)
		p.AddUnreported(site, v, unreported.Total)
	}
	return p, err
}

func (s *Server) listPage(ctx context.Context, site *templates.Site, v templates.View) (*templates.GroupsPage, error) {
	page, err := s.groups.ListGroups(ctx, v.ListQuery())
	if err != nil {
		return nil, err
	}
	p := templates.NewGroupsPage(site, v, page)
	if len(page.Groups) > 0 || len(v.Matchers) == 0 {
		return p, nil
	}
	groups, err := s.groups.AllGroups(ctx)
	p.Suggest(site, v, groups)
	return p, err
}

func (s *Server) byPage(ctx context.Context, site *templates.Site, v templates.View) (*templates.GroupsPage, error) {
	groups, err := s.groups.AllGroups(ctx)
	if err != nil {
		return nil, err
	}
	q := v.ListQuery()
	selected := slices.DeleteFunc(slices.Clone(groups), func(g *grouping.AlertGroup) bool { return !q.Selects(g) })
	p := templates.NewByPage(site, v, selected)
	if len(selected) == 0 {
		p.Suggest(site, v, groups)
	}
	return p, nil
}

func (s *Server) groupPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	id := grouping.ID(c.Param("id"))
	if !id.Valid() {
		return templates.NewNotFoundPage(site), nil
	}
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseGroupView(params)
	if err := params.Err(); err != nil {
		return nil, err
	}
	events, err := s.groups.Events(ctx, grouping.EventQuery{Group: id, Limit: pageEvents})
	if err != nil {
		return nil, err
	}
	g, err := s.groups.GetGroup(ctx, id)
	switch {
	case errors.Is(err, grouping.ErrGroupNotFound):
		return templates.NewGonePage(site, id, "", events.Events), nil
	case err != nil:
		return nil, err
	}
	return templates.NewGroupPage(site, v, g, events.Events), nil
}

func (s *Server) alertPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	ctx := c.Request.Context()
	fp := grouping.Fingerprint(c.Param("fingerprint"))
	if !fp.Valid() {
		return templates.NewNotFoundPage(site), nil
	}
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseAlertView(params)
	q := grouping.EventQuery{Fingerprint: fp, Limit: 100, Source: v.Source, Receiver: v.Receiver}
	if err := params.Err(); err != nil {
		return nil, err
	}
	groups, err := s.groups.GetGroupByFingerprint(ctx, fp)
	if err != nil && !errors.Is(err, grouping.ErrGroupNotFound) {
		return nil, err
	}
	groups = selectGroups(groups, q.Source, q.Receiver)
	if len(groups) == 1 {
		q.Group = groups[0].ID // the history of one group is faster to search
	}
	events, err := s.groups.Events(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case len(groups) == 0:
		return templates.NewGonePage(site, "", fp, events.Events), nil
	}
	return templates.NewAlertPage(site, v, fp, groups, events.Events), nil
}

func (s *Server) historyPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	params := query.Parse(c.Request.URL.RawQuery)
	v := templates.ParseHistoryView(params, site.Now)
	if err := params.Err(); err != nil {
		return nil, err
	}
	events, err := s.groups.Events(c.Request.Context(), v.EventQuery())
	if err != nil {
		return nil, err
	}
	return templates.NewHistoryPage(site, v, events), nil
}

func (s *Server) statusPage(c *gin.Context, site *templates.Site) (templates.Page, error) {
	stats, err := s.groups.GetStats(c.Request.Context())
	if err != nil {
		return nil, err
	}
	return templates.NewStatusPage(site, templates.StatusInput{
		Stats: stats,
		Build: []templates.Fact{
			{Name: "Version", Value: version.Version},
			{Name: "Revision", Value: version.GetRevision()},
			{Name: "Go", Value: version.GoVersion},
		},
		Settings: s.opts.Settings,
		Limits: append([]templates.Limit{
			{Name: "Body size", Value: bytesText(s.opts.MaxBodySize), Met: s.rejections.timesReached("too_large")},
			{Name: "Alerts in a notification", Value: strconv.Itoa(s.opts.MaxAlerts), Met: s.rejections.timesReached("too_many_alerts")},
			{Name: "Labels of an alert", Value: strconv.Itoa(s.opts.MaxLabels), Met: s.rejections.timesReached("labels")},
			{Name: "Groups", Value: limitText(s.opts.Groups.MaxGroups), Met: s.rejections.timesReached("full")},
			{Name: "Alerts in a group", Value: limitText(s.opts.Groups.MaxAlerts), Met: s.rejections.timesReached("cut")},
			{Name: "Live pages", Value: strconv.Itoa(s.opts.MaxLiveClients), Met: s.rejections.timesReached("live_clients")},
		}, s.limits.rows()...),
		Rejected: s.rejections.list(), Problems: s.problems(), Listeners: s.live.clientCount(),
	}), nil
}

// bytesText formats a size in the largest unit that gives a whole number.
func bytesText(n int64) string {
	const kibi, mebi = 1 << 10, 1 << 20
	switch {
	case n >= mebi && n%mebi == 0:
		return strconv.FormatInt(n/mebi, 10) + " MiB"
	case n >= kibi && n%kibi == 0:
		return strconv.FormatInt(n/kibi, 10) + " KiB"
	default:
		return strconv.FormatInt(n, 10) + " bytes"
	}
}

// problems returns the configuration problems of Muster, one sentence each.
func (s *Server) problems() []string {
	var out []string
	if s.opts.Problems != nil {
		out = s.opts.Problems()
	}
	if p := s.tokens.problem(); p != "" {
		out = append(out, p)
	}
	return out
}

func limitText(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}

// redirectToGroup redirects from a notification template to the page of the
// group. A template knows the receiver and the group labels, but not the group
// key.
func (s *Server) redirectToGroup(c *gin.Context) {
	params := query.Parse(c.Request.URL.RawQuery)
	// Alertmanager also quotes the receiver's name in templates.
	receiver, source := unquoteMeta(params.Text("receiver")), params.Text("source")
	want := grouping.Labels{}
	for _, pair := range params.All("l") {
		name, value, _ := strings.Cut(pair, "=")
		want[name] = value
	}
	if err := params.Err(); err != nil {
		s.failPage(c, err)
		return
	}
	groups, err := s.groups.AllGroups(c.Request.Context())
	if err != nil {
		s.failPage(c, err)
		return
	}
	var best *grouping.AlertGroup
	sources := map[string]bool{}
	for _, g := range groups {
		if source != "" && g.Source != source || g.Receiver != receiver || !maps.Equal(g.GroupLabels, want) {
			continue
		}
		if sources[g.Source] = true; best == nil || moreLikely(g, best) {
			best = g
		}
	}
	target := s.links.Groups(templates.LabelsView(want, source, receiver))
	if len(sources) == 1 { // several sources: the list names each
		target = s.links.Group(best.ID)
	}
	c.Redirect(http.StatusFound, target)
}

// moreLikely reports whether a is more likely the group of the notification. It
// prefers the group that is firing, then the group with the newest
// notification.
func moreLikely(a, b *grouping.AlertGroup) bool {
	if (a.Counts.Firing > 0) != (b.Counts.Firing > 0) {
		return a.Counts.Firing > 0
	}
	return a.LastNotifiedAt.After(b.LastNotifiedAt)
}
