package main

import (
	"context"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// request asks --count times, --every-ms, and prints the replies.
func request(o options) (bool, error) {
	client, err := newProducer(o, o.need("group"), o.text("instance", newID("q")))
	if err != nil {
		return false, err
	}
	timeout := time.Duration(o.number("timeout-ms", 3000)) * time.Millisecond
	// A reply finds this client once the broker knows it by a heartbeat, which the client sends at its own time.
	for end := time.Now().Add(45 * time.Second); time.Now().Before(end) && !o.has("at-least"); {
		hello := primitive.NewMessage(o.need("topic"), encodeBody("hello", "", 0, 0))
		if _, err := client.Request(context.Background(), 2*time.Second, hello); err == nil {
			break
		}
	}
	count, replied := o.number("count", 10), 0
	for seq := 0; seq < count && !isStopping(); seq++ {
		message := primitive.NewMessage(o.need("topic"), encodeBody("q", "", seq, o.number("size", 0)))
		reply, err := client.Request(context.Background(), timeout, message)
		if err != nil {
			report("failed", fields{"seq": seq, "message": err.Error()})
		} else {
			replied++
			report("reply", fields{"seq": seq, "body": string(reply.Body)})
		}
		select {
		case <-stopping:
		case <-time.After(time.Duration(o.number("every-ms", 0)) * time.Millisecond):
		}
	}
	_ = client.Shutdown()
	report("summary", fields{"scenario": "request", "sent": count, "replied": replied})
	return replied == count || o.has("at-least"), nil
}

// respond answers with `re: ` and the body until --run-ms or SIGTERM.
func respond(o options) (bool, error) {
	client, err := newProducer(o, o.need("group")+"-replies", o.text("instance", newID("r")))
	if err != nil {
		return false, err
	}
	reader, err := rocketmq.NewPushConsumer(
		consumer.WithNsResolver(o.namesrv()),
		consumer.WithGroupName(o.need("group")),
		consumer.WithInstance(newID("r")),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	if err != nil {
		return false, err
	}
	err = reader.Subscribe(o.need("topic"), consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				// The client takes the body that it is given for properties.
				answer, err := consumer.CreateReplyMessage(message, nil)
				if err == nil {
					answer.Body = []byte("re: " + string(message.Body))
					var result *primitive.SendResult
					if result, err = client.SendSync(context.Background(), answer); err == nil {
						report("replied", fields{"status": int(result.Status), "msgId": result.MsgID, "queueOffset": result.QueueOffset})
					}
				}
				if err != nil {
					report("failed", fields{"message": err.Error()})
				}
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return false, err
	}
	if err := reader.Start(); err != nil {
		return false, err
	}
	report("started", fields{})
	select {
	case <-stopping:
	case <-time.After(time.Duration(o.number("run-ms", 60_000)) * time.Millisecond):
	}
	_ = reader.Shutdown()
	_ = client.Shutdown()
	report("summary", fields{"scenario": "respond"})
	return true, nil
}
