package main

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

type sender struct {
	o        options
	client   rocketmq.Producer
	topic    string
	id       string
	mode     string
	count    int
	start    int
	keys     int
	tags     []string
	mutex    sync.Mutex
	acked    int
	failed   int
	retries  int
	perQueue map[string]int
	errors   map[string]int
}

func newID(prefix string) string {
	return prefix + strconv.FormatInt(time.Now().UnixNano(), 36) + strconv.Itoa(rand.Intn(100))
}

func newProducer(o options, group, instance string, more ...producer.Option) (rocketmq.Producer, error) {
	settings := []producer.Option{
		producer.WithNsResolver(o.namesrv()),
		producer.WithCredentials(credentials()),
		producer.WithGroupName(group),
		producer.WithInstanceName(instance),
		producer.WithSendMsgTimeout(time.Duration(o.number("timeout-ms", 3000)) * time.Millisecond),
		producer.WithRetry(2),
	}
	if o.has("namespace") {
		settings = append(settings, producer.WithNamespace(o.need("namespace")))
	}
	if o.has("trace") {
		settings = append(settings, producer.WithTrace(o.traces()))
	}
	client, err := rocketmq.NewProducer(append(settings, more...)...)
	if err != nil {
		return nil, err
	}
	return client, client.Start()
}

// produce sends --count messages in one --mode and counts the acknowledgements.
func produce(o options) (bool, error) {
	s := &sender{o: o, topic: o.need("topic"), id: o.text("id", newID("m")), mode: o.text("mode", "sync"),
		count: o.number("count", 100), start: o.number("start-seq", 0), perQueue: map[string]int{}, errors: map[string]int{}}
	var more []producer.Option
	if s.mode == "by-key" {
		s.keys = 7
		more = append(more, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	}
	s.keys = o.number("keys", s.keys)
	if list := o.text("tags", ""); list != "" {
		s.tags = strings.Split(list, ",")
	}
	var err error
	if s.client, err = newProducer(o, o.text("group", "e2e-producer"), o.text("instance", newID("p")), more...); err != nil {
		return false, err
	}
	began := time.Now()
	sent := s.count
	switch s.mode {
	case "sync", "by-key":
		s.sync()
	case "async":
		s.async()
	case "oneway":
		sent = s.oneway()
	case "batch":
		err = s.batch()
	default:
		usage("unknown --mode %s", s.mode)
	}
	if err != nil {
		return false, err
	}
	elapsed := time.Since(began)
	if s.mode == "oneway" || o.has("trace") {
		// The client hands one-way frames to the socket, and sends traces, in the background.
		time.Sleep(time.Second)
	}
	_ = s.client.Shutdown()
	report("summary", fields{"scenario": "produce", "mode": s.mode, "id": s.id, "sent": sent, "acked": s.acked,
		"failed": s.failed, "retries": s.retries, "perQueue": s.perQueue, "errors": s.errors, "elapsedMs": elapsed.Milliseconds()})
	if s.mode == "oneway" {
		return sent == s.count, nil
	}
	return s.acked == s.count && s.failed == 0, nil
}

func (s *sender) sync() {
	tries := 1 + s.o.number("retries", 0)
	for seq := s.start; seq < s.start+s.count; seq++ {
		for attempt := 1; attempt <= tries; attempt++ {
			result, err := s.client.SendSync(context.Background(), s.message(seq))
			if err == nil {
				s.acknowledged(seq, 1, result)
				break
			}
			if attempt == tries {
				s.fail(err)
			} else {
				s.retries++
			}
		}
	}
}

func (s *sender) async() {
	var wait sync.WaitGroup
	window := make(chan struct{}, 64)
	for seq := s.start; seq < s.start+s.count; seq++ {
		wait.Add(1)
		window <- struct{}{}
		done := func() { <-window; wait.Done() }
		err := s.client.SendAsync(context.Background(), func(_ context.Context, result *primitive.SendResult, err error) {
			defer done()
			if err != nil {
				s.fail(err)
			} else {
				s.acknowledged(seq, 1, result)
			}
		}, s.message(seq))
		if err != nil {
			s.fail(err)
			done()
		}
	}
	ended := make(chan struct{})
	go func() { wait.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
	}
}

func (s *sender) oneway() int {
	sent := 0
	for seq := s.start; seq < s.start+s.count; seq++ {
		if err := s.client.SendOneWay(context.Background(), s.message(seq)); err != nil {
			s.fail(err)
		} else {
			sent++
		}
	}
	return sent
}

func (s *sender) batch() error {
	size := s.o.number("batch-size", 10)
	for first := s.start; first < s.start+s.count; first += size {
		var messages []*primitive.Message
		for seq := first; seq < min(first+size, s.start+s.count); seq++ {
			messages = append(messages, s.message(seq))
		}
		result, err := s.client.SendSync(context.Background(), messages...)
		if err != nil {
			for range messages {
				s.fail(err)
			}
			continue
		}
		if got := len(strings.Split(result.OffsetMsgID, ",")); got != len(messages) {
			return fmt.Errorf("a batch of %d was answered with %d ids", len(messages), got)
		}
		s.acknowledged(first, len(messages), result)
	}
	return nil
}

func (s *sender) keyOf(seq int) string {
	if s.keys == 0 {
		return ""
	}
	return s.o.text("key", "k") + strconv.Itoa(seq%s.keys)
}

func (s *sender) message(seq int) *primitive.Message {
	key := s.keyOf(seq)
	message := primitive.NewMessage(s.topic, encodeBody(s.id, key, seq, s.o.number("size", 0)))
	if len(s.tags) > 0 {
		message.WithTag(s.tags[seq%len(s.tags)])
	}
	if key == "" {
		message.WithKeys([]string{s.id + "-" + strconv.Itoa(seq)})
	} else {
		message.WithKeys([]string{key})
	}
	if s.mode == "by-key" {
		message.WithShardingKey(key)
	}
	if s.o.has("light") {
		// {part} in a name is one of four.
		message.WithProperty("INNER_MULTI_DISPATCH", strings.ReplaceAll(s.o.need("light"), "{part}", strconv.Itoa(seq%4)))
	}
	for _, pair := range strings.Split(s.o.text("properties", ""), ",") {
		if name, value, found := strings.Cut(pair, "="); found {
			message.WithProperty(name, strings.ReplaceAll(value, "{seq}", strconv.Itoa(seq)))
		}
	}
	return message
}

func (s *sender) acknowledged(first, size int, result *primitive.SendResult) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.acked += size
	s.perQueue[fmt.Sprintf("%s:%d", result.MessageQueue.BrokerName, result.MessageQueue.QueueId)] += size
	if result.Status != primitive.SendOK {
		s.errors[fmt.Sprint("status ", result.Status)]++
	}
	if !s.o.has("verbose") {
		return
	}
	unique, offsets := strings.Split(result.MsgID, ","), strings.Split(result.OffsetMsgID, ",")
	for at := 0; at < size; at++ {
		id := ""
		if len(unique) == size {
			id = unique[at]
		}
		status := "SEND_OK"
		if result.Status != primitive.SendOK {
			status = fmt.Sprint(result.Status)
		}
		report("ack", fields{"id": s.id, "seq": first + at, "key": s.keyOf(first + at), "msgId": id, "offsetMsgId": offsets[at],
			"broker": result.MessageQueue.BrokerName, "queueId": result.MessageQueue.QueueId,
			"queueOffset": result.QueueOffset + int64(at), "status": status})
	}
}

func (s *sender) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.failed++
	text := err.Error()
	s.errors[text[:min(160, len(text))]]++
}

// encodeBody writes `id key seq [padding]`, as the Java programs do.
func encodeBody(id, key string, seq, size int) []byte {
	if key == "" {
		key = "-"
	}
	text := []byte(id + " " + key + " " + strconv.Itoa(seq))
	if len(text) < size {
		text = append(text, ' ')
		for len(text) < size {
			text = append(text, byte('a'+len(text)%26))
		}
	}
	return text
}

func decodeBody(body []byte) (id, key string, seq int) {
	parts := strings.SplitN(string(body), " ", 4)
	if len(parts) < 3 {
		return "", "", -1
	}
	seq, err := strconv.Atoi(parts[2])
	if err != nil {
		return "", "", -1
	}
	if parts[1] == "-" {
		parts[1] = ""
	}
	return parts[0], parts[1], seq
}
