package gantry.e2e;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * One push consumer. --fail-first N makes the first delivery of N messages fail, so that they are delivered again, --fail-times N the first N
 * deliveries of every message; --next-level N asks for a delay level then (-1: none, it is given up). --verbose prints the properties.
 */
final class PushConsume {
    private final Flags flags;
    private final Received received;
    private final Set<String> failedOnce = new HashSet<>();
    private final Map<String, Integer> failures = new HashMap<>();

    PushConsume(Flags flags) {
        this.flags = flags;
        received = new Received(flags.text("instance", "c1"));
    }

    boolean run() throws Exception {
        String name = flags.text("instance", "c1");
        DefaultMQPushConsumer consumer = Clients.consumer(flags, flags.need("group"), new Clients.ReportingStrategy(name));
        Clients.configure(consumer, flags, name);
        consumer.setConsumeFromWhere(switch (flags.text("from", "first")) {
            case "first" -> ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET;
            case "last" -> ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET;
            case "timestamp" -> ConsumeFromWhere.CONSUME_FROM_TIMESTAMP;
            default -> throw new IllegalArgumentException("unknown --from " + flags.text("from", ""));
        });
        if (flags.has("from-timestamp")) {
            consumer.setConsumeTimestamp(flags.need("from-timestamp"));
        }
        Clients.setMessageModel(consumer, flags.text("model", "clustering"));
        if (flags.text("model", "clustering").equals("broadcasting")) {
            // A broadcasting consumer finds the offsets that it keeps itself by its client id, after a restart too.
            consumer.setInstanceName(name);
        }
        consumer.subscribe(flags.need("topic"), Clients.selector(flags));
        if (flags.text("listener", "concurrently").equals("orderly")) {
            consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
                context.setAutoCommit(true);
                return take(messages, context.getMessageQueue().getBrokerName())
                    ? ConsumeOrderlyStatus.SUCCESS : ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
            });
        } else {
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                context.setDelayLevelWhenNextConsume(flags.number("next-level", 0));
                return take(messages, context.getMessageQueue().getBrokerName())
                    ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
        }
        consumer.start();
        Report.line("started", "consumer", name);
        received.await(flags);
        consumer.shutdown();
        return received.report(flags, "push-consume");
    }

    private boolean take(Iterable<MessageExt> messages, String broker) {
        for (MessageExt message : messages) {
            if (mustFail(message)) {
                Report.line("failed", "msgId", message.getMsgId(), "seq", Body.decode(message.getBody()).seq(),
                    "reconsumeTimes", message.getReconsumeTimes(), "at", System.currentTimeMillis());
                return false;
            }
            if (flags.has("verbose")) {
                Report.line("properties", "seq", Body.decode(message.getBody()).seq(), "properties", message.getProperties());
            }
            received.add(message, broker);
        }
        return true;
    }

    private synchronized boolean mustFail(MessageExt message) {
        if (flags.has("fail-times")) {
            return failures.merge(message.getMsgId(), 1, Integer::sum) <= flags.number("fail-times", 0);
        }
        return failedOnce.size() < flags.number("fail-first", 0) && failedOnce.add(message.getMsgId());
    }
}
