package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// litePull is the pull consumer: by subscription (Poll and ACK), or with --assign [--queue N] by PullFrom on all queues or one,
// from --seek begin|end|OFFSET. --commit prints the offsets that were stored.
func litePull(o options) (bool, error) {
	name := o.text("instance", "c1")
	r := newReceived(name)
	end := time.Now().Add(time.Duration(o.number("run-ms", 60_000)) * time.Millisecond)
	client, all, err := startPulling(o, name)
	if err != nil {
		return false, err
	}
	if o.has("assign") {
		err = pullAssigned(o, client, all, r, end)
	} else {
		err = pollSubscribed(o, client, r, end)
	}
	if err != nil {
		return false, err
	}
	committed := map[string]int64{}
	if o.has("commit") {
		if err = client.PersistOffset(context.Background(), o.need("topic")); err != nil {
			return false, err
		}
		for _, queue := range all {
			if committed[queueName(queue)], err = client.CurrentOffset(queue); err != nil {
				return false, err
			}
		}
	}
	if err = client.Shutdown(); err != nil {
		return false, err
	}
	return r.report(o, "lite-pull", fields{"committed": committed}), nil
}

// startPulling gives a pull consumer of --topic, and all queues of that.
func startPulling(o options, name string) (rocketmq.PullConsumer, []*primitive.MessageQueue, error) {
	queues := make(chan []*primitive.MessageQueue, 1)
	client, err := rocketmq.NewPullConsumer(
		consumer.WithNsResolver(o.namesrv()),
		consumer.WithCredentials(credentials()),
		consumer.WithGroupName(o.need("group")),
		consumer.WithInstance(name+"-"+strconv.Itoa(os.Getpid())),
		consumer.WithConsumeFromWhere(fromWhere(o)),
		consumer.WithStrategy(reporting(name, func(all []*primitive.MessageQueue) {
			select {
			case queues <- all:
			default:
			}
		})),
	)
	if err != nil {
		return nil, nil, err
	}
	if err = client.Subscribe(o.need("topic"), selector(o)); err != nil {
		return nil, nil, err
	}
	if err = client.Start(); err != nil {
		return nil, nil, err
	}
	report("started", fields{"consumer": name})
	select {
	case all := <-queues:
		return client, all, nil
	case <-time.After(30 * time.Second):
		return nil, nil, errors.New("no queue was assigned within 30 s")
	}
}

func queueName(queue *primitive.MessageQueue) string {
	return fmt.Sprintf("%s:%d", queue.BrokerName, queue.QueueId)
}

func pollSubscribed(o options, client rocketmq.PullConsumer, r *received, end time.Time) error {
	for time.Now().Before(end) && !isStopping() && !r.enough(o) {
		request, err := client.Poll(context.Background(), 200*time.Millisecond)
		if consumer.IsNoNewMsgError(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, message := range request.GetMsgList() {
			r.add(message)
		}
		client.ACK(context.Background(), request, consumer.ConsumeSuccess)
	}
	return nil
}

func pullAssigned(o options, client rocketmq.PullConsumer, all []*primitive.MessageQueue, r *received, end time.Time) error {
	var wait sync.WaitGroup
	failures := make(chan error, len(all))
	for _, queue := range all {
		if o.has("queue") && queue.QueueId != o.number("queue", 0) {
			continue
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := pullQueue(o, client, queue, r, end); err != nil {
				failures <- err
			}
		}()
	}
	ended := make(chan struct{})
	go func() { wait.Wait(); close(ended) }()
	for time.Now().Before(end) && !isStopping() && !r.enough(o) {
		select {
		case err := <-failures:
			return err
		case <-ended:
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
	// A pull that still waits at the end of its queue is given up with the client.
	return nil
}

func pullQueue(o options, client rocketmq.PullConsumer, queue *primitive.MessageQueue, r *received, end time.Time) error {
	var offset int64
	switch seek := o.text("seek", "begin"); seek {
	case "begin", "end":
		// Far beyond the end, the broker answers with the queue's limits.
		result, err := client.PullFrom(context.Background(), queue, 1<<40, 1)
		if err != nil {
			return err
		}
		offset = result.MinOffset
		if seek == "end" {
			offset = result.MaxOffset
		}
	default:
		offset = int64(o.number("seek", 0))
	}
	for time.Now().Before(end) && !isStopping() {
		result, err := client.PullFrom(context.Background(), queue, offset, 32)
		if err != nil {
			return err
		}
		for _, message := range result.GetMessageExts() {
			r.add(message)
		}
		offset = result.NextBeginOffset
		if o.has("commit") {
			if err = client.UpdateOffset(queue, offset); err != nil {
				return err
			}
		}
	}
	return nil
}
