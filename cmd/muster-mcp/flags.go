package main

import (
	"errors"
	"net/url"
	"os"
	"strconv"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"

	"muster/assistant"
	"muster/internal/namedflag"
)

// settings are what the flags say.
type settings struct {
	url            *url.URL
	httpConfigFile string
	addresses      []string
	webConfigFile  string
	handler        assistant.HandlerOptions
	log            promslog.Config
}

// parseFlags reads the flags and the environment.
func parseFlags(args []string) (settings, error) {
	c := settings{handler: assistant.DefaultHandlerOptions()}
	app := kingpin.New("muster-mcp", "Lets assistants ask a Muster about alerts, with the Model Context Protocol. "+
		"Without --web.listen-address it speaks on the standard input and output.")
	app.HelpFlag.Short('h')
	app.Version(version.Print("muster-mcp"))
	app.UsageWriter(os.Stdout)
	app.DefaultEnvars()
	address := app.Flag("url", "URL of the Muster.").Required().PlaceHolder("URL").String()
	app.Flag("http.config.file", "Path of a file with the credentials and the TLS settings for the Muster, "+
		"in the form of Prometheus' HTTP client.").PlaceHolder("FILE").StringVar(&c.httpConfigFile)
	app.Flag("web.listen-address", "Address to listen on for /mcp, such as 127.0.0.1:9096. Repeatable.").
		PlaceHolder("ADDRESS").StringsVar(&c.addresses)
	app.Flag("web.config.file", "Path of a file with TLS and basic authentication for /mcp, as for Muster.").
		PlaceHolder("FILE").StringVar(&c.webConfigFile)
	app.Flag("web.allowed-host", "Host name under which clients reach /mcp, without a port. Repeatable. "+
		"localhost and IP addresses are always allowed.").PlaceHolder("NAME").StringsVar(&c.handler.AllowedHosts)
	app.Flag("web.max-requests", "Maximum number of concurrent requests to /mcp. Further ones get 503.").
		Default(strconv.Itoa(c.handler.MaxRequests)).IntVar(&c.handler.MaxRequests)
	promslogflag.AddFlags(app, &c.log)
	for _, name := range []string{"web.max-requests", promslogflag.LevelFlagName, promslogflag.FormatFlagName} {
		f := app.GetFlag(name)
		f.SetValue(namedflag.Value{Value: f.Model().Value, Name: name})
	}
	if _, err := app.Parse(args); err != nil {
		return c, err
	}
	if err := c.handler.Validate(); err != nil {
		return c, err
	}
	switch {
	case len(c.addresses) > 0:
	case c.webConfigFile != "":
		return c, errors.New("--web.config.file has no effect without --web.listen-address")
	case len(c.handler.AllowedHosts) > 0:
		return c, errors.New("--web.allowed-host has no effect without --web.listen-address")
	}
	var err error
	if c.url, err = musterURL(*address); err != nil {
		return c, err
	}
	return c, nil
}

func musterURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("--url must have the form https://example.com/path, without user, query and fragment. " +
			"Credentials belong into --http.config.file")
	}
	return u, nil
}
