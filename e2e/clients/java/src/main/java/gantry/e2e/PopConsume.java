package gantry.e2e;

import java.util.HashSet;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * One push consumer that leaves the division of queues to the broker and consumes in POP mode, which it sets before it starts; with
 * --keep-mode in the mode that was set before. --stuck: its listener never returns; --fail-first N: the first delivery of N messages
 * fails; --verbose prints the properties.
 */
final class PopConsume {
    private final Flags flags;
    private final Received received;
    private final Set<String> failedOnce = new HashSet<>();

    PopConsume(Flags flags) {
        this.flags = flags;
        received = new Received(flags.text("instance", "c1"));
    }

    boolean run() throws Exception {
        String name = flags.text("instance", "c1");
        String topic = flags.need("topic");
        String group = flags.need("group");
        if (!flags.has("keep-mode")) {
            try (PopAdmin admin = new PopAdmin(flags)) {
                admin.setPopMode(topic, group, flags.number("share", 0));
            }
        }
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, Clients.hook());
        Clients.configure(consumer, flags, name);
        consumer.setClientRebalance(false);
        consumer.setPopInvisibleTime(flags.number("invisible-ms", 60_000));
        consumer.setPopBatchNums(flags.number("batch", 32));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, flags.text("expression", "*"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                if (mustFail(message)) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                if (flags.has("verbose")) {
                    Report.line("properties", "seq", Body.decode(message.getBody()).seq(), "properties", message.getProperties());
                }
                received.add(message, context.getMessageQueue().getBrokerName());
            }
            if (flags.has("stuck")) {
                sleep();
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Report.line("started", "consumer", name);
        received.await(flags);
        consumer.shutdown();
        return received.report(flags, "pop-consume");
    }

    private static void sleep() {
        try {
            Thread.sleep(Long.MAX_VALUE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized boolean mustFail(MessageExt message) {
        return failedOnce.size() < flags.number("fail-first", 0) && failedOnce.add(message.getMsgId());
    }
}
