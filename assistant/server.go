package assistant

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const instructions = "Muster remembers the alert groups of Prometheus Alertmanager: what fires now, what fired before, who was notified, " +
	"and what was silenced. All tools only read. Begin with list_groups. Times are UTC. A group or an alert is suppressed if it fires " +
	"but is muted, and unreported if Alertmanager no longer reports it and nobody said why: that is not resolved. " + notice

// server has the tools and what they need.
type server struct {
	mcp    *mcp.Server
	client *Client
	logger *slog.Logger
}

// NewServer returns a server with all tools, which ask the client.
func NewServer(client *Client, version string, logger *slog.Logger) *mcp.Server {
	s := &server{client: client, logger: logger, mcp: mcp.NewServer(
		&mcp.Implementation{Name: "muster", Title: "Muster, the memory of Alertmanager", Version: version},
		&mcp.ServerOptions{
			Instructions: instructions, Logger: slog.New(slog.DiscardHandler),
			Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		})}
	s.mcp.AddReceivingMiddleware(s.recoverPanic)
	s.addGroups()
	s.addGroup()
	s.addEvents()
	s.addReport()
	s.addSilences()
	return s.mcp
}

// recoverPanic answers a panic with an error. Otherwise one message could end the process, because
// the SDK answers it in a goroutine of its own.
func (s *server) recoverPanic(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (result mcp.Result, err error) {
		defer func() {
			if cause := recover(); cause != nil {
				s.logger.ErrorContext(ctx, "Handler panicked", "method", method, "err", fmt.Sprint(cause))
				result, err = nil, errInternal
			}
		}()
		return next(ctx, method, req)
	}
}

// tool describes a tool to an assistant.
type tool struct {
	name, title, about string
	properties         map[string]property // of the arguments
}

// property is an argument of a tool.
type property struct {
	about    string
	words    []any  // the only ones that are allowed; nil: any
	min, max int    // of a number; max is 0: any
	usual    string // what an absent argument means; "": nothing
}

// maxArgument is the maximum number of characters of a text that an assistant sends.
const maxArgument = 2000

// addTool adds a tool. ask returns an error that is a sentence for the assistant.
func addTool[In, Out any](s *server, t tool, ask func(ctx context.Context, in In) (*mcp.CallToolResult, Out, error)) {
	input, err := jsonschema.For[In](nil)
	if err != nil {
		panic(err) // the types are fixed, and every test would fail
	}
	for name, schema := range input.Properties {
		t.properties[name].describe(schema)
	}
	no := false
	mcp.AddTool(s.mcp, &mcp.Tool{
		Name: t.name, Title: t.title, Description: t.about + " " + notice, InputSchema: input,
		Annotations: &mcp.ToolAnnotations{
			Title: t.title, ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: &no, OpenWorldHint: &no,
		},
	}, func(ctx context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, Out, error) {
		result, out, err := ask(ctx, in)
		if err != nil {
			s.logger.InfoContext(ctx, "A question of an assistant failed", "tool", t.name, "err", err)
		}
		return result, out, err
	})
}

// describe adds what a Go type does not say to the schema of an argument.
func (p property) describe(s *jsonschema.Schema) {
	one := s
	s.Description = p.about
	if s.Items != nil {
		one = s.Items
		s.Type, s.Types = "array", nil // and not null
		limit := max(1, len(p.words))
		s.MaxItems = &limit
	}
	one.Enum = p.words
	if p.max > 0 {
		low, high := float64(p.min), float64(p.max)
		one.Minimum, one.Maximum = &low, &high
	}
	if one.Type == "string" && len(p.words) == 0 {
		longest := maxArgument
		one.MaxLength = &longest
	}
	// The schema has no default: with one, the SDK panics for arguments that are null.
	if p.usual != "" {
		s.Description += ". Without it, " + p.usual
	}
}

// Arguments that several tools have.
const (
	aTime = "RFC 3339, 2026-11-26 02:55 in UTC, Unix seconds, or a duration before now such as -1h30m or 7d"

	// filterWords tells how to write a filter.
	filterWords = `Alertmanager matchers joined by commas, such as severity="critical",namespace=~"pay.*", or words to search for`
)

var (
	filterProperty   = property{about: filterWords + ". An alert must match all of them"}
	receiverProperty = property{about: "exactly this receiver"}
	sourceProperty   = property{about: "exactly this cluster of Alertmanagers"}
	cursorProperty   = property{about: "next of the answer before, with the same arguments"}
	sinceProperty    = property{about: "begin of the time, included: " + aTime}
	untilProperty    = property{about: "end of the time, not included", usual: "now"}
)

// atMost is an argument that limits a list.
func atMost(what string) property {
	return property{about: "maximum number of " + what, min: 1, max: maxEntries, usual: strconv.Itoa(usualEntries)}
}

// oneOf is an argument that is one of the words.
func oneOf(about string, words ...any) property { return property{about: about, words: words} }
