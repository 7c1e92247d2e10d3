// go-client SCENARIO --flag value ...: the same scenarios and flags as the Java programs, on rocketmq-client-go.
// Exit 0 when what was expected was met, 1 when not, 2 for wrong usage. Standard output carries JSON lines only.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var known = strings.Fields(`namesrv topic group count mode tags key keys timeout-ms batch-size size verbose start-seq retries
model listener expression from from-timestamp expect run-ms linger-ms instance assign seek commit queue rate drain-ms
fail-first fail-times max-reconsume next-level sql properties namespace trace id at-least
local check unknown-checks immunity delay-level timer-ms light every-ms`)

type options map[string]string

func (o options) has(name string) bool { _, found := o[name]; return found }

func (o options) text(name, otherwise string) string {
	if value, found := o[name]; found {
		return value
	}
	return otherwise
}

func (o options) need(name string) string {
	value, found := o[name]
	if !found {
		usage("--%s is needed", name)
	}
	return value
}

func (o options) number(name string, otherwise int) int {
	value, found := o[name]
	if !found {
		return otherwise
	}
	number, err := strconv.Atoi(value)
	if err != nil {
		usage("--%s %s: a number is needed", name, value)
	}
	return number
}

func (o options) namesrv() primitive.NsResolver {
	list := o.text("namesrv", os.Getenv("NAMESRV_ADDR"))
	if list == "" {
		list = "127.0.0.1:9876"
	}
	return primitive.NewPassthroughResolver(strings.FieldsFunc(list, func(r rune) bool { return r == ';' || r == ',' }))
}

// credentials sign each request; none without GANTRY_E2E_ACCESS_KEY and GANTRY_E2E_SECRET_KEY.
func credentials() primitive.Credentials {
	return primitive.Credentials{AccessKey: os.Getenv("GANTRY_E2E_ACCESS_KEY"), SecretKey: os.Getenv("GANTRY_E2E_SECRET_KEY")}
}

// traces go where the messages go.
func (o options) traces() *primitive.TraceConfig {
	return &primitive.TraceConfig{Access: primitive.Local, Resolver: o.namesrv(), Credentials: credentials()}
}

func usage(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(2)
}

func parse(args []string) options {
	o := options{}
	for at := 0; at < len(args); at++ {
		name, isFlag := strings.CutPrefix(args[at], "--")
		if !isFlag {
			usage("expected a flag, found %s", args[at])
		}
		found := false
		for _, one := range known {
			found = found || one == name
		}
		if !found {
			usage("unknown flag --%s", name)
		}
		if at+1 < len(args) && !strings.HasPrefix(args[at+1], "--") {
			at++
			o[name] = args[at]
		} else {
			o[name] = "true"
		}
	}
	return o
}

var output sync.Mutex

type fields map[string]any

func report(event string, values fields) {
	line := fields{"event": event}
	for name, value := range values {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	_, _ = os.Stdout.Write(append(text, '\n'))
}

// stopping is closed by SIGTERM or SIGINT; scenarios then end in their own time and print their summary.
var stopping = make(chan struct{})

func isStopping() bool {
	select {
	case <-stopping:
		return true
	default:
		return false
	}
}

func main() {
	if len(os.Args) < 2 {
		usage("produce | push-consume | lite-pull | control-load | quickstart | transact | request | respond | light-queue")
	}
	scenarios := map[string]func(options) (bool, error){
		"produce": produce, "push-consume": pushConsume, "lite-pull": litePull,
		"control-load": controlLoad, "quickstart": quickstart,
		"transact": transact, "request": request, "respond": respond, "light-queue": lightQueue,
	}
	// Else a send without an answer ends the program: producer.sendAsync of 2.1.2 looks into the answer that there is not.
	primitive.PanicHandler = func(problem any) { fmt.Fprintln(os.Stderr, "the client panics:", problem) }
	scenario, found := scenarios[os.Args[1]]
	if !found {
		usage("unknown scenario %s", os.Args[1])
	}
	o := parse(os.Args[2:])
	rlog.SetLogLevel("warn")
	_ = rlog.SetOutputPath(filepath.Join(os.TempDir(), "gantry-e2e-logs", strconv.Itoa(os.Getpid()), "go-client.log"))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		close(stopping)
	}()
	good, err := scenario(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		report("error", fields{"message": err.Error()})
		good = false
	}
	if !good {
		os.Exit(1)
	}
}
