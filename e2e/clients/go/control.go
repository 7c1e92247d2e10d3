package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const producers, consumers, warmUp = 2, 2, 64

type copyOf struct {
	producer, seq int
}

// ledger keeps what was acknowledged and what was consumed, by number of producer and sequence, all in memory.
type ledger struct {
	mutex        sync.Mutex
	acked        [producers]map[int]bool
	consumed     [producers]map[int]bool
	queues       map[string]map[int64]copyOf
	perBroker    map[string]int
	errors       map[string]int
	latencies    []time.Duration
	failedSends  int
	deliveries   int
	redeliveries int
	lastAck      time.Time
	maxGap       time.Duration
}

func newLedger() *ledger {
	l := &ledger{queues: map[string]map[int64]copyOf{}, perBroker: map[string]int{}, errors: map[string]int{}}
	for at := range producers {
		l.acked[at], l.consumed[at] = map[int]bool{}, map[int]bool{}
	}
	return l
}

func (l *ledger) ack(number, seq int, broker string, took time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := time.Now()
	if !l.lastAck.IsZero() {
		l.maxGap = max(l.maxGap, now.Sub(l.lastAck))
	}
	l.lastAck = now
	l.acked[number][seq] = true
	l.perBroker[broker]++
	l.latencies = append(l.latencies, took)
}

func (l *ledger) fail(err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.failedSends++
	if text := err.Error(); len(l.errors) < 20 {
		l.errors[text[:min(120, len(text))]]++
	}
}

func (l *ledger) consume(number, seq int, queue string, offset int64) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.deliveries++
	if l.queues[queue] == nil {
		l.queues[queue] = map[int64]copyOf{}
	}
	if _, again := l.queues[queue][offset]; again {
		l.redeliveries++
	}
	l.queues[queue][offset] = copyOf{number, seq}
	l.consumed[number][seq] = true
}

func (l *ledger) missing() (lost []string, count int) {
	lost = []string{}
	for at := range producers {
		for seq := range l.acked[at] {
			if !l.consumed[at][seq] {
				count++
				if len(lost) < 20 {
					lost = append(lost, fmt.Sprintf("%d-%d", at, seq))
				}
			}
		}
	}
	sort.Strings(lost)
	return lost, count
}

func (l *ledger) outstanding() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, count := l.missing()
	return count
}

func (l *ledger) progress(second int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	acked, consumed := len(l.acked[0])+len(l.acked[1]), len(l.consumed[0])+len(l.consumed[1])
	_, outstanding := l.missing()
	report("progress", fields{"second": second, "acked": acked, "failedSends": l.failedSends, "consumedDistinct": consumed,
		"outstanding": outstanding, "perBroker": l.perBroker})
}

// outOfOrder counts messages that stand behind a later one of their producer in a queue. A message with several copies (a
// send that was repeated) is left out: any of its copies may be the late one.
func (l *ledger) outOfOrder() int {
	copies := map[copyOf]int{}
	for _, queue := range l.queues {
		for _, one := range queue {
			copies[one]++
		}
	}
	count := 0
	for _, queue := range l.queues {
		var offsets []int64
		for offset := range queue {
			offsets = append(offsets, offset)
		}
		sort.Slice(offsets, func(a, b int) bool { return offsets[a] < offsets[b] })
		last := [producers]int{-1, -1}
		for _, offset := range offsets {
			one := queue[offset]
			if copies[one] > 1 {
				continue
			}
			if one.seq < last[one.producer] {
				count++
			}
			last[one.producer] = max(last[one.producer], one.seq)
		}
	}
	return count
}

func (l *ledger) summary(id string) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	lost, lostCount := l.missing()
	acked, consumed := len(l.acked[0])+len(l.acked[1]), len(l.consumed[0])+len(l.consumed[1])
	sort.Slice(l.latencies, func(a, b int) bool { return l.latencies[a] < l.latencies[b] })
	p99 := 0.0
	if n := len(l.latencies); n > 0 {
		p99 = float64(l.latencies[min(n-1, n*99/100)].Microseconds()) / 1000
	}
	outOfOrder := l.outOfOrder()
	report("summary", fields{"scenario": "control-load", "id": id, "acked": acked, "failedSends": l.failedSends,
		"consumedDistinct": consumed, "duplicates": l.deliveries - consumed, "redelivered": l.redeliveries,
		"lostCount": lostCount, "lost": lost, "outOfOrder": outOfOrder, "perBroker": l.perBroker, "errors": l.errors,
		"maxGapMs": l.maxGap.Milliseconds(), "p99SendMs": p99})
	return lostCount == 0 && outOfOrder == 0 && acked > 0
}

type control struct {
	o         options
	topic, id string
	ledger    *ledger
	stop      atomic.Bool
}

// controlLoad runs two synchronous producers at --rate messages per second each and two push consumers of one group, until
// --run-ms or SIGTERM. A send that fails is counted and repeated with the same number until it is acknowledged. At the end the
// producers stop, the consumers get up to --drain-ms for the rest, and the books are compared.
func controlLoad(o options) (bool, error) {
	c := &control{o: o, topic: o.need("topic"), id: o.text("id", newID("r")), ledger: newLedger()}
	group := o.text("group", "e2e-control")
	var clients []rocketmq.Producer
	for at := range producers {
		client, err := newProducer(o, group+"-producer", fmt.Sprintf("producer-%d-%d", at, os.Getpid()))
		if err != nil {
			return false, err
		}
		clients = append(clients, client)
	}
	if !c.firstSends(clients[0]) {
		return false, errors.New("the first sends were not acknowledged")
	}
	var readers []rocketmq.PushConsumer
	for at := range consumers {
		reader, err := c.consumer(group, at)
		if err != nil {
			return false, err
		}
		readers = append(readers, reader)
	}
	report("ready", fields{"id": c.id})
	var wait sync.WaitGroup
	for at := range producers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			c.produce(clients[at], at)
		}()
	}
	c.progressUntilStop()
	c.stop.Store(true)
	wait.Wait()
	end := time.Now().Add(time.Duration(o.number("drain-ms", 40_000)) * time.Millisecond)
	for time.Now().Before(end) && c.ledger.outstanding() > 0 {
		time.Sleep(50 * time.Millisecond)
	}
	good := c.ledger.summary(c.id)
	for _, reader := range readers {
		_ = reader.Shutdown()
	}
	for _, client := range clients {
		_ = client.Shutdown()
	}
	return good, nil
}

// firstSends makes the topic where topics are made automatically: on every broker, by as many messages as go round all queues,
// so that the consumers find the whole route and need not wait for their next look, half a minute later.
func (c *control) firstSends(client rocketmq.Producer) bool {
	acked := 0
	for end := time.Now().Add(60 * time.Second); acked < warmUp && time.Now().Before(end) && !isStopping(); {
		_, err := client.SendSync(context.Background(), primitive.NewMessage(c.topic, encodeBody("warm-up", "", 0, 0)))
		if err == nil {
			acked++
			continue
		}
		fmt.Fprintln(os.Stderr, "first send:", err)
		time.Sleep(200 * time.Millisecond)
	}
	return acked == warmUp
}

func (c *control) consumer(group string, number int) (rocketmq.PushConsumer, error) {
	reader, err := rocketmq.NewPushConsumer(
		consumer.WithNsResolver(c.o.namesrv()),
		consumer.WithGroupName(group),
		consumer.WithInstance(fmt.Sprintf("consumer-%d-%d", number, os.Getpid())),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	if err != nil {
		return nil, err
	}
	err = reader.Subscribe(c.topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, message := range messages {
				id, key, seq := decodeBody(message.Body)
				if id != c.id {
					continue
				}
				producer, err := strconv.Atoi(key)
				if err != nil {
					return consumer.ConsumeRetryLater, err
				}
				c.ledger.consume(producer, seq, queueName(message.Queue), message.QueueOffset)
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return nil, err
	}
	return reader, reader.Start()
}

func (c *control) produce(client rocketmq.Producer, number int) {
	period := time.Second / time.Duration(c.o.number("rate", 100))
	due := time.Now()
	for seq := 0; !c.stop.Load(); seq++ {
		wait := time.Until(due)
		if wait > 0 {
			time.Sleep(wait)
		} else if wait < -time.Second {
			// After an outage the rate goes on as before; what was not sent then is not sent in a burst.
			due = time.Now()
		}
		due = due.Add(period)
		for {
			if c.stop.Load() {
				return
			}
			began := time.Now()
			message := primitive.NewMessage(c.topic, encodeBody(c.id, strconv.Itoa(number), seq, c.o.number("size", 0)))
			message.WithTag("control").WithKeys([]string{fmt.Sprintf("%s-%d-%d", c.id, number, seq)})
			result, err := client.SendSync(context.Background(), message)
			if err == nil {
				c.ledger.ack(number, seq, result.MessageQueue.BrokerName, time.Since(began))
				break
			}
			c.ledger.fail(err)
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func (c *control) progressUntilStop() {
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	var end <-chan time.Time
	if ms := c.o.number("run-ms", 0); ms > 0 {
		end = time.After(time.Duration(ms) * time.Millisecond)
	}
	for second := 1; ; second++ {
		select {
		case <-stopping:
			return
		case <-end:
			return
		case <-ticks.C:
			c.ledger.progress(second)
		}
	}
}
