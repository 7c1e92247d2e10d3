package main

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// received prints and counts what a consumer was given.
type received struct {
	mutex      sync.Mutex
	consumer   string
	lastOffset map[string]int64
	perQueue   map[string]int
	seen       map[string]bool
	total      int
	outOfOrder int
	lastAt     time.Time
}

func newReceived(name string) *received {
	return &received{consumer: name, lastOffset: map[string]int64{}, perQueue: map[string]int{}, seen: map[string]bool{},
		lastAt: time.Now()}
}

func (r *received) add(message *primitive.MessageExt) {
	id, key, seq := decodeBody(message.Body)
	text := string(message.Body)
	shown := fields{"consumer": r.consumer, "msgId": message.MsgId, "offsetMsgId": message.OffsetMsgId,
		"topic": message.Topic, "queueId": message.Queue.QueueId, "broker": message.Queue.BrokerName,
		"queueOffset": message.QueueOffset, "id": id, "key": key, "seq": seq, "body": text[:min(200, len(text))],
		"bodySize": len(message.Body), "tags": message.GetTags(), "keys": message.GetKeys(),
		"reconsumeTimes": message.ReconsumeTimes, "bornTimestamp": message.BornTimestamp,
		"storeTimestamp": message.StoreTimestamp}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	report("message", shown)
	r.total++
	r.lastAt = time.Now()
	queue := fmt.Sprintf("%s:%d", message.Queue.BrokerName, message.Queue.QueueId)
	r.perQueue[queue]++
	if last, found := r.lastOffset[queue]; found && message.QueueOffset <= last {
		r.outOfOrder++
	}
	r.lastOffset[queue] = message.QueueOffset
	if id == "" {
		r.seen[message.OffsetMsgId] = true
	} else {
		r.seen[id+" "+strconv.Itoa(seq)] = true
	}
}

func (r *received) distinct() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.seen)
}

// enough: --expect messages are there, and --linger-ms have passed without another one.
func (r *received) enough(o options) bool {
	expect := o.number("expect", -1)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	linger := time.Duration(o.number("linger-ms", 1000)) * time.Millisecond
	return expect >= 0 && len(r.seen) >= expect && time.Since(r.lastAt) > linger
}

func (r *received) await(o options) {
	end := time.Now().Add(time.Duration(o.number("run-ms", 60_000)) * time.Millisecond)
	for time.Now().Before(end) && !r.enough(o) {
		select {
		case <-stopping:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *received) report(o options, scenario string, more fields) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	values := fields{"scenario": scenario, "consumer": r.consumer, "received": r.total, "distinct": len(r.seen),
		"outOfOrder": r.outOfOrder, "perQueue": r.perQueue}
	for name, value := range more {
		values[name] = value
	}
	report("summary", values)
	expect := o.number("expect", -1)
	return expect < 0 || len(r.seen) == expect || o.has("at-least") && len(r.seen) > expect
}

func selector(o options) consumer.MessageSelector {
	kind := consumer.TAG
	if o.has("sql") {
		kind = consumer.SQL92
	}
	return consumer.MessageSelector{Type: kind, Expression: o.text("expression", "*")}
}

// reporting is the default strategy; it prints every change of the queues that this member is given.
func reporting(name string, tell func(all []*primitive.MessageQueue)) consumer.AllocateStrategy {
	var mutex sync.Mutex
	last := ""
	return func(group, client string, all []*primitive.MessageQueue, members []string) []*primitive.MessageQueue {
		result := consumer.AllocateByAveragely(group, client, all, members)
		if len(all) == 0 || strings.HasPrefix(all[0].Topic, "%RETRY%") {
			return result
		}
		queues := []string{}
		for _, queue := range result {
			queues = append(queues, fmt.Sprintf("%s:%d", queue.BrokerName, queue.QueueId))
		}
		sort.Strings(queues)
		mutex.Lock()
		defer mutex.Unlock()
		if now := fmt.Sprint(len(members), queues); now != last {
			last = now
			report("assigned", fields{"consumer": name, "members": len(members), "queues": queues, "all": len(all)})
		}
		if tell != nil {
			tell(all)
		}
		return result
	}
}

func fromWhere(o options) consumer.ConsumeFromWhere {
	switch o.text("from", "first") {
	case "first":
		return consumer.ConsumeFromFirstOffset
	case "last":
		return consumer.ConsumeFromLastOffset
	case "timestamp":
		return consumer.ConsumeFromTimestamp
	}
	usage("unknown --from %s", o.text("from", ""))
	return 0
}

// pushConsume is one push consumer; --fail-first N makes the first delivery of N messages fail, --fail-times N the first N of each.
func pushConsume(o options) (bool, error) {
	name := o.text("instance", "c1")
	r := newReceived(name)
	isBroadcast := o.text("model", "clustering") == "broadcasting"
	instance := name + "-" + strconv.Itoa(os.Getpid())
	if isBroadcast {
		// A broadcasting consumer finds the offsets that it keeps itself by its client id, after a restart too.
		instance = name
	}
	settings := []consumer.Option{
		consumer.WithNsResolver(o.namesrv()),
		consumer.WithCredentials(credentials()),
		consumer.WithGroupName(o.need("group")),
		consumer.WithInstance(instance),
		consumer.WithConsumeFromWhere(fromWhere(o)),
		consumer.WithConsumerOrder(o.text("listener", "concurrently") == "orderly"),
		consumer.WithStrategy(reporting(name, nil)),
	}
	if o.has("max-reconsume") {
		settings = append(settings, consumer.WithMaxReconsumeTimes(int32(o.number("max-reconsume", -1))))
	}
	if o.has("namespace") {
		settings = append(settings, consumer.WithNamespace(o.need("namespace")))
	}
	if o.has("trace") {
		settings = append(settings, consumer.WithTrace(o.traces()))
	}
	if o.has("from-timestamp") {
		settings = append(settings, consumer.WithConsumeTimestamp(o.need("from-timestamp")))
	}
	if isBroadcast {
		settings = append(settings, consumer.WithConsumerModel(consumer.BroadCasting))
	}
	client, err := rocketmq.NewPushConsumer(settings...)
	if err != nil {
		return false, err
	}
	var mutex sync.Mutex
	failed := map[string]bool{}
	failures := map[string]int{}
	mustFail := func(id string) bool {
		mutex.Lock()
		defer mutex.Unlock()
		if o.has("fail-times") {
			failures[id]++
			return failures[id] <= o.number("fail-times", 0)
		}
		if failed[id] || len(failed) >= o.number("fail-first", 0) {
			return false
		}
		failed[id] = true
		return true
	}
	err = client.Subscribe(o.need("topic"), selector(o),
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			if concurrent, found := primitive.GetConcurrentlyCtx(ctx); found {
				concurrent.DelayLevelWhenNextConsume = o.number("next-level", 0)
			}
			// As long as in Java, where the client says it; here the queue would not be suspended at all.
			if orderly, found := primitive.GetOrderlyCtx(ctx); found {
				orderly.SuspendCurrentQueueTimeMillis = 1000
			}
			for _, message := range messages {
				if mustFail(message.MsgId) {
					report("failed", fields{"msgId": message.MsgId, "reconsumeTimes": message.ReconsumeTimes,
						"at": time.Now().UnixMilli()})
					if o.text("listener", "concurrently") == "orderly" {
						return consumer.SuspendCurrentQueueAMoment, nil
					}
					return consumer.ConsumeRetryLater, nil
				}
				if o.has("verbose") {
					_, _, seq := decodeBody(message.Body)
					report("properties", fields{"seq": seq, "properties": message.GetProperties()})
				}
				r.add(message)
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return false, err
	}
	if err = client.Start(); err != nil {
		return false, err
	}
	report("started", fields{"consumer": name})
	r.await(o)
	if err = client.Shutdown(); err != nil {
		return false, err
	}
	return r.report(o, "push-consume", nil), nil
}
