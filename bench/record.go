package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recorded are the commands that Muster's script ran for one notification. The floor
// "same" runs them again, for another group.
type recorded struct {
	Alerts   int        `json:"alerts"`
	Repeat   bool       `json:"repeat"`
	ID       string     `json:"id"` // of the group
	Commands [][][]byte `json:"commands"`
}

// record writes to a file what Muster writes to Redis for a notification of each size, and
// for its repeat. It takes this from the append-only file of Redis, which has the effects
// of each script. So the file needs no knowledge of the scripts.
func (b *bench) record(ctx context.Context, file string) error {
	p := &program{name: redisMuster, dir: filepath.Dir(file) + "-recorded", binary: b.head, post: musterPath, args: slices.Clone(musterArgs)}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return err
	}
	defer p.stop()
	var err error
	if p.redis, p.redisAt, err = startRedis(ctx, p.dir, "redis", b.redis, "--appendonly", "yes", "--appendfsync", "no"); err != nil {
		return err
	}
	p.args = append(p.args, "--redis.url=redis://"+p.redisAt)
	if err := p.start(ctx); err != nil {
		return err
	}
	var list []recorded
	for _, r := range ingestRows {
		n := notification{group: fmt.Sprintf("%d-recorded", r.alerts), alerts: r.alerts, startsAt: time.Now().UTC()}
		for _, repeat := range []bool{false, true} {
			one, err := p.recordOne(ctx, n)
			if err != nil {
				return err
			}
			one.Repeat = repeat
			list = append(list, one)
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// recordOne posts a notification and returns what was written for its group. Redis writes
// the effects to its file before it answers.
func (p *program) recordOne(ctx context.Context, n notification) (recorded, error) {
	_, before, err := p.appended(0)
	if err != nil {
		return recorded{}, err
	}
	c, err := dial(ctx, p.address)
	if err != nil {
		return recorded{}, err
	}
	defer c.close()
	var body bytes.Buffer
	if err := c.do(encode("POST", p.post, n.webhook()), &body); err != nil {
		return recorded{}, err
	}
	var answer struct{ Group string }
	if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
		return recorded{}, err
	}
	text, _, err := p.appended(before)
	if err != nil {
		return recorded{}, err
	}
	commands, err := effects(text, answer.Group)
	if err == nil && len(commands) == 0 {
		err = errors.New("no write is in the append-only file of Redis")
	}
	return recorded{Alerts: n.alerts, ID: answer.Group, Commands: commands}, err
}

// appended returns the append-only file of Redis from an offset, and its size.
func (p *program) appended(from int64) ([]byte, int64, error) {
	files, err := filepath.Glob(filepath.Join(p.dir, "redis", "appendonlydir", "*.incr.aof"))
	if err == nil && len(files) == 0 {
		files, err = filepath.Glob(filepath.Join(p.dir, "redis", "appendonly.aof")) // before Redis 7
	}
	if err != nil || len(files) == 0 {
		return nil, 0, errors.Join(err, errors.New("the append-only file of Redis is missing"))
	}
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil || int64(len(text)) < from {
		return nil, 0, fmt.Errorf("the append-only file of Redis has become shorter: %w", err)
	}
	return text[from:], int64(len(text)), nil
}

// streamID is the ID of an entry that Redis made.
var streamID = regexp.MustCompile(`^\d+-\d+$`)

// effects returns the commands of those transactions that name the group.
func effects(text []byte, group string) (all [][][]byte, err error) {
	var transaction [][][]byte
	r := bufio.NewReader(bytes.NewReader(text))
	for {
		command, err := readCommand(r)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch name := strings.ToUpper(string(command[0])); name {
		case "MULTI":
			transaction = nil
		case "EXEC":
			names := func(command [][]byte) bool {
				return slices.ContainsFunc(command, func(arg []byte) bool { return bytes.Contains(arg, []byte(group)) })
			}
			if slices.ContainsFunc(transaction, names) {
				all = append(all, transaction...)
			}
		case "SELECT":
		default:
			if name == "XADD" {
				i := slices.IndexFunc(command[2:], streamID.Match)
				command[2+i] = []byte("*")
			}
			transaction = append(transaction, command)
		}
	}
}

// readCommand reads one command in the protocol of Redis.
func readCommand(r *bufio.Reader) ([][]byte, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	command := make([][]byte, n)
	for i := range command {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		arg := make([]byte, size+2) // with the line break
		if _, err := io.ReadFull(r, arg); err != nil {
			return nil, err
		}
		command[i] = arg[:size]
	}
	return command, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line[0] == '#' { // a comment with the time
			continue
		}
		if line[0] != kind {
			return 0, fmt.Errorf("the append-only file of Redis has %q instead of %q", line, kind)
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
}
