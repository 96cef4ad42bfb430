package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bytedance/sonic"
	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
)

func connect(address string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: address, PoolSize: 16})
}

// groupID returns a text of the length of Muster's group IDs.
func groupID(groupKey string) string {
	sum := sha256.Sum256([]byte(groupKey))
	return hex.EncodeToString(sum[:10])
}

// index is the prototype that was thrown away. It stores the alerts of a group, an index,
// and one event for each notification. It compares nothing, and has no history.
type index struct{ redis *redis.Client }

func newIndex(address string) *index { return &index{connect(address)} }

var indexScript = redis.NewScript(`
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'id', ARGV[1])
`)

func (x *index) post(c *gin.Context, body []byte) error {
	var m message
	if err := sonic.Unmarshal(body, &m); err != nil {
		return err
	}
	id := groupID(m.GroupKey)
	alerts := m.Alerts
	m.Alerts = nil
	head, err := sonic.MarshalString(&m)
	if err != nil {
		return err
	}
	args := make([]any, 0, 3+2*len(alerts))
	args = append(args, id, "m", head)
	for i := range alerts {
		text, err := sonic.MarshalString(&alerts[i])
		if err != nil {
			return err
		}
		args = append(args, fingerprint(alerts[i].Labels), text)
	}
	keys := []string{"p:g:" + id, "p:index", "p:log"}
	return ignoreNil(indexScript.Run(c.Request.Context(), x.redis, keys, args...).Err())
}

func fingerprint(labels map[string]string) string {
	sum := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		_, _ = fmt.Fprintf(sum, "%s\xff%s\xff", name, labels[name])
	}
	return "a:" + hex.EncodeToString(sum.Sum(nil))
}

// ignoreNil drops the error for a script without a result.
func ignoreNil(err error) error {
	if err == redis.Nil { //nolint:errorlint // go-redis returns it unwrapped
		return nil
	}
	return err
}

// same is the prototype that writes the same bytes as Muster: the commands that Muster's
// script ran for a notification with as many alerts, in one script.
type same struct {
	redis  *redis.Client
	writes map[writeKey]recorded
	seen   sync.Map // the IDs of the groups that were posted
}

// writeKey names a recorded notification by its number of alerts.
type writeKey struct {
	alerts int
	repeat bool // an unchanged repeat
}

// recorded are the commands that Muster ran for the group with the ID.
type recorded struct {
	Alerts   int        `json:"alerts"`
	Repeat   bool       `json:"repeat"`
	ID       string     `json:"id"`
	Commands [][][]byte `json:"commands"`
}

func newSame(address, file string) (*same, error) {
	text, err := os.ReadFile(file) //nolint:gosec // G304: the benchmark names the file
	if err != nil {
		return nil, err
	}
	var list []recorded
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	s := &same{redis: connect(address), writes: map[writeKey]recorded{}}
	for _, r := range list {
		s.writes[writeKey{r.Alerts, r.Repeat}] = r
	}
	return s, nil
}

var sameScript = redis.NewScript(`
local i = 1
while i < #ARGV do
  local n = tonumber(ARGV[i])
  redis.call(unpack(ARGV, i + 1, i + n))
  i = i + n + 1
end
`)

func (s *same) post(c *gin.Context, body []byte) error {
	var m message
	if err := sonic.Unmarshal(body, &m); err != nil {
		return err
	}
	id := groupID(m.GroupKey)
	_, repeat := s.seen.LoadOrStore(id, true)
	r, ok := s.writes[writeKey{len(m.Alerts), repeat}]
	if !ok {
		return fmt.Errorf("no write of %d alerts was recorded", len(m.Alerts))
	}
	var args []any
	for _, command := range r.Commands {
		args = append(args, len(command))
		for _, arg := range command {
			args = append(args, strings.ReplaceAll(string(arg), r.ID, id))
		}
	}
	return ignoreNil(sameScript.Run(context.WithoutCancel(c.Request.Context()), s.redis, nil, args...).Err())
}
