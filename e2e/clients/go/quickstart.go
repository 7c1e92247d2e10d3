package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// quickstart takes the steps of the client's own examples/producer/simple and examples/consumer/simple, the producer first,
// so that the topic is there.
func quickstart(o options) (bool, error) {
	const sent = 10
	p, err := rocketmq.NewProducer(producer.WithNsResolver(o.namesrv()), producer.WithRetry(2))
	if err != nil {
		return false, err
	}
	if err = p.Start(); err != nil {
		return false, err
	}
	acked := 0
	for i := 0; i < sent; i++ {
		message := &primitive.Message{Topic: "test", Body: []byte("Hello RocketMQ Go Client! " + strconv.Itoa(i))}
		result, err := p.SendSync(context.Background(), message)
		if err != nil {
			return false, err
		}
		if result.Status == primitive.SendOK {
			acked++
		}
	}
	var count atomic.Int64
	c, err := rocketmq.NewPushConsumer(consumer.WithGroupName("testGroup"), consumer.WithNsResolver(o.namesrv()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		return false, err
	}
	err = c.Subscribe("test", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			count.Add(int64(len(messages)))
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return false, err
	}
	if err = c.Start(); err != nil {
		return false, err
	}
	end := time.Now().Add(time.Duration(o.number("run-ms", 60_000)) * time.Millisecond)
	for time.Now().Before(end) && !isStopping() && count.Load() < sent {
		time.Sleep(50 * time.Millisecond)
	}
	_ = c.Shutdown()
	_ = p.Shutdown()
	report("summary", fields{"scenario": "quickstart", "acked": acked, "received": count.Load()})
	return acked == sent && count.Load() >= sent, nil
}
