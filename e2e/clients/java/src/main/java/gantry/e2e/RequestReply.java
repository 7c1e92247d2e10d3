package gantry.e2e;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** `request`: asks --count times, --every-ms, and prints the replies. `respond`: answers with `re: ` and the body until --run-ms or SIGTERM. */
final class RequestReply {
    private final Flags flags;

    RequestReply(Flags flags) {
        this.flags = flags;
    }

    boolean request() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(flags.need("group"));
        Clients.configure(producer, flags, flags.text("instance", "q1"));
        producer.setSendMsgTimeout(flags.number("timeout-ms", 3000));
        producer.start();
        int count = flags.number("count", 10);
        int replied = 0;
        for (int seq = 0; seq < count && !Main.STOPPING.get(); seq++) {
            Message message = new Message(flags.need("topic"), Body.encode("q", "", seq, flags.number("size", 0)));
            try {
                Message reply = producer.request(message, flags.number("timeout-ms", 3000));
                replied++;
                Report.line("reply", "seq", seq, "body", new String(reply.getBody(), StandardCharsets.UTF_8));
            } catch (Exception e) {
                Report.line("failed", "seq", seq, "type", e.getClass().getSimpleName(), "message", String.valueOf(e.getMessage()));
            }
            Main.STOP.await(flags.number("every-ms", 0), TimeUnit.MILLISECONDS);
        }
        producer.shutdown();
        Report.line("summary", "scenario", "request", "sent", count, "replied", replied);
        return replied == count || flags.has("at-least");
    }

    boolean respond() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(flags.need("group") + "-replies");
        Clients.configure(producer, flags, flags.text("instance", "r1"));
        producer.setSendMsgTimeout(flags.number("timeout-ms", 3000));
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(flags.need("group"));
        Clients.configure(consumer, flags, flags.text("instance", "r1"));
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(flags.need("topic"), "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                try {
                    byte[] body = ("re: " + new String(message.getBody(), StandardCharsets.UTF_8)).getBytes(StandardCharsets.UTF_8);
                    SendResult result = producer.send(MessageUtil.createReplyMessage(message, body));
                    Report.line("replied", "status", result.getSendStatus().name(), "msgId", result.getMsgId(),
                        "queueOffset", result.getQueueOffset());
                } catch (Exception e) {
                    Report.line("failed", "type", e.getClass().getSimpleName(), "message", String.valueOf(e.getMessage()));
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Report.line("started");
        Main.STOP.await(flags.number("run-ms", 60_000), TimeUnit.MILLISECONDS);
        consumer.shutdown();
        producer.shutdown();
        Report.line("summary", "scenario", "respond");
        return true;
    }
}
