package main

import (
	"context"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// lightQueue pulls the light queue --light, whose messages were sent to --topic, from its first message or --seek OFFSET on. The client
// stores the offsets of the queues that it was assigned only, so whoever pulls another one keeps its place itself.
func lightQueue(o options) (bool, error) {
	name := o.text("instance", "c1")
	r := newReceived(name)
	end := time.Now().Add(time.Duration(o.number("run-ms", 60_000)) * time.Millisecond)
	client, all, err := startPulling(o, name)
	if err != nil {
		return false, err
	}
	// A light queue has no route: the addresses of the brokers come with that of the topic.
	queue := &primitive.MessageQueue{Topic: o.need("light"), BrokerName: all[0].BrokerName}
	// Far beyond the end, the broker answers with the queue's limits.
	limits, err := client.PullFrom(context.Background(), queue, 1<<40, 1)
	if err != nil {
		return false, err
	}
	first := int64(o.number("seek", int(limits.MinOffset)))
	next, expect := first, o.number("expect", -1)
	for time.Now().Before(end) && !isStopping() && (expect < 0 || r.distinct() < expect) {
		result, err := client.PullFrom(context.Background(), queue, next, 32)
		if err != nil {
			return false, err
		}
		for _, message := range result.GetMessageExts() {
			r.add(message)
		}
		next = result.NextBeginOffset
	}
	report("light", fields{"first": first, "next": next, "minOffset": limits.MinOffset, "maxOffset": limits.MaxOffset})
	if err = client.Shutdown(); err != nil {
		return false, err
	}
	return r.report(o, "light-queue", nil), nil
}
