// Floors are throw-away programs. Each does a part of what Muster does, and nothing else.
// `make bench` shows what Muster costs beside them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/bytedance/sonic"
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
)

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "Loopback `address` of the floors that answer requests.")
	flag.StringVar(&o.redis, "redis", "", "`Address` of Redis.")
	flag.StringVar(&o.file, "file", "", "Path of the `file` that Muster wrote, for the floor file.")
	flag.StringVar(&o.writes, "writes", "", "Path of the `file` with recorded writes, for the floor same.")
	flag.Parse()
	if err := run(flag.Arg(0), o); err != nil {
		fmt.Fprintln(os.Stderr, "floors:", err)
		os.Exit(1)
	}
}

type options struct{ listen, redis, file, writes string }

func run(floor string, o options) error {
	switch floor {
	case "read":
		return serve(o, func(*gin.Context, []byte) error { return nil })
	case "decode":
		return serve(o, func(_ *gin.Context, body []byte) error {
			var m message
			return json.Unmarshal(body, &m)
		})
	case "sonic":
		return serve(o, func(_ *gin.Context, body []byte) error {
			var m message
			return sonic.Unmarshal(body, &m)
		})
	case "index":
		return serve(o, newIndex(o.redis).post)
	case "same":
		same, err := newSame(o.redis, o.writes)
		if err != nil {
			return err
		}
		return serve(o, same.post)
	case "hgetall":
		return readRedis(o.redis)
	case "file":
		return readFile(o.file)
	}
	return errors.New("the floors are read, decode, sonic, index, same, hgetall and file")
}

// serve answers posts. Each body is read as a whole first.
func serve(o options, post func(*gin.Context, []byte) error) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/-/ready", func(c *gin.Context) { c.Status(http.StatusOK) })
	engine.POST("/webhook", func(c *gin.Context) {
		body := make([]byte, c.Request.ContentLength)
		_, err := io.ReadFull(c.Request.Body, body)
		if err == nil {
			err = post(c, body)
		}
		if err != nil {
			c.String(http.StatusInternalServerError, err.Error())
			return
		}
		c.String(http.StatusOK, `{"status":"kept"}`)
	})
	return http.ListenAndServe(o.listen, engine) //nolint:gosec // G114: a benchmark on the loopback address needs no timeouts
}

// message is a notification of Alertmanager.
type message struct {
	Version         string            `json:"version"`
	GroupKey        string            `json:"groupKey"`
	TruncatedAlerts uint64            `json:"truncatedAlerts"`
	Receiver        string            `json:"receiver"`
	Status          string            `json:"status"`
	Reason          string            `json:"notification_reason"`
	GroupLabels     map[string]string `json:"groupLabels"`
	CommonLabels    map[string]string `json:"commonLabels"`
	Annotations     map[string]string `json:"commonAnnotations"`
	ExternalURL     string            `json:"externalURL"`
	Alerts          []alert           `json:"alerts"`
}

type alert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     string            `json:"startsAt"`
	EndsAt       string            `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}
