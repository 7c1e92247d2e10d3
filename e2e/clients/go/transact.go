package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

type transactions struct {
	o            options
	id           string
	local, check []string
	mutex        sync.Mutex
	checks       map[string]int
	halves       int
	checked      int
}

// transact sends --count transactions, then answers checks until --run-ms or SIGTERM. --local and --check are lists of commit,
// rollback, unknown, taken by sequence number; `hold` as a local state never returns. The first --unknown-checks checks of a
// message are answered unknown.
func transact(o options) (bool, error) {
	t := &transactions{o: o, id: o.text("id", newID("t")), checks: map[string]int{},
		local: strings.Split(o.text("local", "commit"), ","), check: strings.Split(o.text("check", "commit"), ",")}
	client, err := rocketmq.NewTransactionProducer(t,
		producer.WithNsResolver(o.namesrv()),
		producer.WithCredentials(credentials()),
		producer.WithGroupName(o.need("group")),
		producer.WithInstanceName(o.text("instance", newID("t"))),
		producer.WithSendMsgTimeout(time.Duration(o.number("timeout-ms", 3000))*time.Millisecond),
		producer.WithRetry(2),
	)
	if err != nil {
		return false, err
	}
	if err := client.Start(); err != nil {
		return false, err
	}
	report("started", fields{"id": t.id})
	failed := 0
	for seq := range o.number("count", 10) {
		message := primitive.NewMessage(o.need("topic"), encodeBody(t.id, "", seq, 0))
		message.WithTag("tx").WithKeys([]string{t.id + "-" + strconv.Itoa(seq)})
		if o.has("immunity") {
			message.WithProperty("CHECK_IMMUNITY_TIME_IN_SECONDS", o.need("immunity"))
		}
		if o.has("delay-level") {
			message.WithDelayTimeLevel(o.number("delay-level", 0))
		}
		if o.has("timer-ms") {
			message.WithProperty("TIMER_DELAY_MS", o.need("timer-ms"))
		}
		result, err := client.SendMessageInTransaction(context.Background(), message)
		if err != nil {
			failed++
			report("failed", fields{"id": t.id, "seq": seq, "message": err.Error()})
			continue
		}
		report("ack", fields{"id": t.id, "seq": seq, "status": int(result.Status), "state": int(result.State), "transactionId": result.TransactionID})
	}
	report("sent", fields{"id": t.id})
	select {
	case <-stopping:
	case <-time.After(time.Duration(o.number("run-ms", 60_000)) * time.Millisecond):
	}
	_ = client.Shutdown()
	report("summary", fields{"scenario": "transact", "id": t.id, "halves": t.halves, "checks": t.checked, "failed": failed})
	return failed == 0, nil
}

func (t *transactions) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	_, _, seq := decodeBody(message.Body)
	state := t.local[seq%len(t.local)]
	t.halves++
	report("half", fields{"id": t.id, "seq": seq, "state": state, "transactionId": message.TransactionId})
	if state == "hold" {
		select {}
	}
	return stateOf(state)
}

func (t *transactions) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	id, _, seq := decodeBody(message.Body)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.checks[message.TransactionId]++
	state := "unknown"
	if t.checks[message.TransactionId] > t.o.number("unknown-checks", 0) {
		state = t.check[seq%len(t.check)]
	}
	t.checked++
	report("check", fields{"id": id, "seq": seq, "state": state, "topic": message.Topic, "queueId": message.Queue.QueueId,
		"times": message.GetProperty("TRANSACTION_CHECK_TIMES"), "transactionId": message.TransactionId,
		"ageMs": time.Now().UnixMilli() - message.BornTimestamp})
	return stateOf(state)
}

func stateOf(state string) primitive.LocalTransactionState {
	switch state {
	case "commit":
		return primitive.CommitMessageState
	case "rollback":
		return primitive.RollbackMessageState
	default:
		return primitive.UnknowState
	}
}
