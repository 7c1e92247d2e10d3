package gantry.e2e;

import io.opentracing.mock.MockSpan;
import io.opentracing.mock.MockTracer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.trace.hook.ConsumeMessageOpenTracingHookImpl;
import org.apache.rocketmq.client.trace.hook.SendMessageOpenTracingHookImpl;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/** Sends and consumes --count messages with the client's own hooks for OpenTracing, a tracer at each end, and prints the spans of both. */
final class OpenTracing {
    private final Flags flags;
    private final String topic;
    private final int count;

    OpenTracing(Flags flags) {
        this.flags = flags;
        topic = flags.need("topic");
        count = flags.number("count", 10);
    }

    boolean run() throws Exception {
        MockTracer sending = new MockTracer();
        MockTracer consuming = new MockTracer();
        Received received = new Received("c1");
        DefaultMQProducer producer = Clients.producer(flags, "tracing-producer");
        Clients.configure(producer, flags, "p1");
        producer.getDefaultMQProducerImpl().registerSendMessageHook(new SendMessageOpenTracingHookImpl(sending));
        producer.start();
        for (int seq = 0; seq < count; seq++) {
            producer.send(new Message(topic, Body.encode("traced", "", seq, 0)));
        }
        DefaultMQPushConsumer consumer = Clients.consumer(flags, flags.need("group"), new Clients.ReportingStrategy("c1"));
        Clients.configure(consumer, flags, "c1");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.getDefaultMQPushConsumerImpl().registerConsumeMessageHook(new ConsumeMessageOpenTracingHookImpl(consuming));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> received.add(message, context.getMessageQueue().getBrokerName()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        received.await(flags);
        consumer.shutdown();
        producer.shutdown();
        report("sent", sending);
        report("consumed", consuming);
        return received.report(flags, "open-tracing");
    }

    private static void report(String end, MockTracer tracer) {
        for (MockSpan span : tracer.finishedSpans()) {
            Report.line("span", "end", end, "operation", span.operationName(), "traceId", span.context().traceId(),
                "spanId", span.context().spanId(), "parentId", span.parentId());
        }
    }
}
