package gantry.e2e;

import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Pulls the light queue --light, whose messages were sent to --topic, from the committed offset of --group on, or from its first message;
 * commits what it has pulled. The way of RocketMQ's example LMQPullConsumer.
 */
@SuppressWarnings("deprecation")
final class LightQueue {
    private final Flags flags;
    private final Received received;

    LightQueue(Flags flags) {
        this.flags = flags;
        received = new Received(flags.text("instance", "c1"));
    }

    boolean run() throws Exception {
        String topic = flags.need("topic");
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(flags.need("group"));
        Clients.configure(consumer, flags, flags.text("instance", "c1"));
        consumer.setRegisterTopics(Set.of(topic));
        consumer.start();
        // A light queue has no route: the addresses of the brokers come with that of the topic.
        String broker = brokerOf(consumer, topic);
        MessageQueue queue = new MessageQueue(flags.need("light"), broker, 0);
        long committed = consumer.fetchConsumeOffset(queue, true);
        long offset = committed >= 0 ? committed : consumer.minOffset(queue);
        long first = offset;
        int expect = flags.number("expect", -1);
        long end = System.nanoTime() + flags.number("run-ms", 60_000) * 1_000_000L;
        while (System.nanoTime() < end && !Main.STOPPING.get() && (expect < 0 || received.distinct() < expect)) {
            PullResult result = consumer.pullBlockIfNotFound(queue, flags.text("expression", "*"), offset, 32);
            if (result.getPullStatus() == PullStatus.FOUND) {
                for (MessageExt message : result.getMsgFoundList()) {
                    received.add(message, broker);
                }
            }
            offset = result.getNextBeginOffset();
        }
        consumer.updateConsumeOffset(queue, offset);
        consumer.getDefaultMQPullConsumerImpl().getOffsetStore().persist(queue);
        Thread.sleep(500);
        Report.line("light", "first", first, "next", offset, "minOffset", consumer.minOffset(queue),
            "maxOffset", consumer.maxOffset(queue));
        consumer.shutdown();
        return received.report(flags, "light-queue");
    }

    /** The client gives up as soon as the name server takes some seconds to answer. */
    private static String brokerOf(DefaultMQPullConsumer consumer, String topic) throws Exception {
        for (int attempt = 1; ; attempt++) {
            try {
                return consumer.fetchSubscribeMessageQueues(topic).iterator().next().getBrokerName();
            } catch (MQClientException e) {
                if (attempt == 5) {
                    throw e;
                }
            }
        }
    }
}
