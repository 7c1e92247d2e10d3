package gantry.e2e;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Two synchronous producers at --rate messages per second each and two push consumers of one group, until --run-ms or SIGTERM.
 * A send that fails is counted and repeated with the same number until it is acknowledged. At the end the producers stop, the
 * consumers get up to --drain-ms for the rest, and the books are compared.
 */
final class ControlLoad {
    private static final int PRODUCERS = 2;
    private static final int CONSUMERS = 2;
    private static final int WARM_UP = 64;
    private final Flags flags;
    private final String topic;
    private final String id;
    private final Ledger ledger = new Ledger(PRODUCERS);
    private volatile boolean producing = true;

    ControlLoad(Flags flags) {
        this.flags = flags;
        topic = flags.need("topic");
        id = flags.text("id", "r" + Long.toString(System.currentTimeMillis(), 36));
    }

    boolean run() throws Exception {
        List<DefaultMQProducer> producers = new ArrayList<>();
        for (int at = 0; at < PRODUCERS; at++) {
            producers.add(producer(at));
        }
        if (!firstSends(producers.get(0))) {
            Report.line("error", "message", "the first sends were not acknowledged");
            return false;
        }
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (int at = 0; at < CONSUMERS; at++) {
            consumers.add(consumer(at));
        }
        Report.line("ready", "id", id);
        List<Thread> threads = new ArrayList<>();
        for (int at = 0; at < PRODUCERS; at++) {
            int number = at;
            Thread thread = new Thread(() -> produce(producers.get(number), number), "producer-" + at);
            thread.start();
            threads.add(thread);
        }
        progressUntilStop();
        producing = false;
        for (Thread thread : threads) {
            thread.join(TimeUnit.SECONDS.toMillis(15));
        }
        drain();
        boolean good = ledger.summary(id);
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        producers.forEach(DefaultMQProducer::shutdown);
        return good;
    }

    private DefaultMQProducer producer(int number) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(flags.text("group", "e2e-control") + "-producer");
        Clients.configure(producer, flags, "producer-" + number);
        producer.setSendMsgTimeout(flags.number("timeout-ms", 3000));
        producer.start();
        return producer;
    }

    /**
     * Makes the topic where topics are made automatically: on every broker, by as many messages as go round all queues, so that
     * the consumers find the whole route and need not wait for their next look, half a minute later.
     */
    private boolean firstSends(DefaultMQProducer producer) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        int acked = 0;
        while (acked < WARM_UP && System.nanoTime() < end && !Main.STOPPING.get()) {
            try {
                producer.send(new Message(topic, Body.encode("warm-up", "", 0, 0)));
                acked++;
            } catch (Exception e) {
                System.err.println("first send: " + e.getMessage());
                Main.STOP.await(200, TimeUnit.MILLISECONDS);
            }
        }
        return acked == WARM_UP;
    }

    private DefaultMQPushConsumer consumer(int number) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(flags.text("group", "e2e-control"));
        Clients.configure(consumer, flags, "consumer-" + number);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                Body body = Body.decode(message.getBody());
                if (id.equals(body.id())) {
                    ledger.consumed(Integer.parseInt(body.key()), body.seq(),
                        context.getMessageQueue().getBrokerName() + ":" + message.getQueueId(), message.getQueueOffset());
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private void produce(DefaultMQProducer producer, int number) {
        double periodNanos = 1e9 / flags.number("rate", 100);
        long start = System.nanoTime();
        long due = 0;
        for (long seq = 0; producing; seq++) {
            long wait = start + (long) (due++ * periodNanos) - System.nanoTime();
            if (wait > 0) {
                sleep(wait);
            } else if (wait < -TimeUnit.SECONDS.toNanos(1)) {
                // After an outage the rate goes on as before; what was not sent then is not sent in a burst.
                start = System.nanoTime();
                due = 1;
            }
            if (!producing || !send(producer, number, seq)) {
                return;
            }
        }
    }

    /** False: stopped before an acknowledgement came. */
    private boolean send(DefaultMQProducer producer, int number, long seq) {
        while (producing) {
            long begin = System.nanoTime();
            try {
                byte[] body = Body.encode(id, Integer.toString(number), seq, flags.number("size", 0));
                SendResult result = producer.send(new Message(topic, "control", id + "-" + number + "-" + seq, body));
                ledger.acked(number, seq, result.getMessageQueue().getBrokerName(), System.nanoTime() - begin);
                return true;
            } catch (Exception e) {
                ledger.failed(e);
                sleep(TimeUnit.MILLISECONDS.toNanos(50));
            }
        }
        return false;
    }

    private static void sleep(long nanos) {
        try {
            TimeUnit.NANOSECONDS.sleep(nanos);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void progressUntilStop() throws InterruptedException {
        long start = System.nanoTime();
        int runMs = flags.number("run-ms", 0);
        for (int second = 1; !Main.STOPPING.get(); second++) {
            long next = start + TimeUnit.SECONDS.toNanos(second);
            long end = runMs == 0 ? Long.MAX_VALUE : start + TimeUnit.MILLISECONDS.toNanos(runMs);
            Main.STOP.await(Math.min(next, end) - System.nanoTime(), TimeUnit.NANOSECONDS);
            ledger.progress(second);
            if (System.nanoTime() >= end) {
                return;
            }
        }
    }

    private void drain() throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(flags.number("drain-ms", 40_000));
        while (System.nanoTime() < end && ledger.outstanding() > 0) {
            Thread.sleep(50);
        }
    }
}
