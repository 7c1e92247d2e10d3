package gantry.e2e;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * The lite pull consumer: by subscription, or with --assign [--queue N] on all queues or one, and then --seek begin|end|OFFSET
 * first. --commit commits by hand instead of automatically and prints what was committed.
 */
final class LitePull {
    private final Flags flags;
    private final Received received;

    LitePull(Flags flags) {
        this.flags = flags;
        received = new Received(flags.text("instance", "c1"));
    }

    boolean run() throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(flags.need("group"), Clients.hook());
        Clients.configure(consumer, flags, flags.text("instance", "c1"));
        consumer.setAutoCommit(!flags.has("commit"));
        consumer.setConsumeFromWhere(flags.text("from", "first").equals("last")
            ? ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET : ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        String topic = flags.need("topic");
        if (!flags.has("assign")) {
            consumer.subscribe(topic, Clients.selector(flags));
        }
        consumer.start();
        Collection<MessageQueue> assigned = flags.has("assign") ? assign(consumer, topic) : List.of();
        Report.line("started", "consumer", flags.text("instance", "c1"));
        Map<String, Long> committed = poll(consumer, assigned);
        consumer.shutdown();
        return received.report(flags, "lite-pull", "committed", committed);
    }

    private Collection<MessageQueue> assign(DefaultLitePullConsumer consumer, String topic) throws Exception {
        List<MessageQueue> queues = new ArrayList<>(consumer.fetchMessageQueues(topic));
        if (flags.has("queue")) {
            int wanted = flags.number("queue", 0);
            queues.removeIf(queue -> queue.getQueueId() != wanted);
        }
        consumer.assign(queues);
        String seek = flags.text("seek", "");
        for (MessageQueue queue : queues) {
            switch (seek) {
                case "" -> { }
                case "begin" -> consumer.seekToBegin(queue);
                case "end" -> consumer.seekToEnd(queue);
                default -> consumer.seek(queue, Long.parseLong(seek));
            }
        }
        return queues;
    }

    private Map<String, Long> poll(DefaultLitePullConsumer consumer, Collection<MessageQueue> assigned) throws Exception {
        long end = System.nanoTime() + flags.number("run-ms", 60_000) * 1_000_000L;
        int expect = flags.number("expect", -1);
        while (System.nanoTime() < end && !Main.STOPPING.get()) {
            for (MessageExt message : consumer.poll(200)) {
                received.add(message, message.getBrokerName());
            }
            if (expect >= 0 && received.distinct() >= expect && received.quietFor(flags.number("linger-ms", 1000))) {
                break;
            }
        }
        Map<String, Long> committed = new TreeMap<>();
        if (flags.has("commit")) {
            consumer.commitSync();
            for (MessageQueue queue : assigned.isEmpty() ? consumer.fetchMessageQueues(flags.need("topic")) : assigned) {
                committed.put(queue.getBrokerName() + ":" + queue.getQueueId(), consumer.committed(queue));
            }
        }
        return committed;
    }
}
