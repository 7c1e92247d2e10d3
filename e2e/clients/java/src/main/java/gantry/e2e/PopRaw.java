package gantry.e2e;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.AckCallback;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.PopCallback;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.common.constant.ConsumeInitMode;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/**
 * Pops by requests of its own until --expect messages have come or --run-ms are over.
 * --action ack | batch | none | change (to --change-ms); --order pops in order, from --queue.
 */
final class PopRaw {
    private final Flags flags;
    private final Received received;
    private final String topic;
    private final String group;

    PopRaw(Flags flags) {
        this.flags = flags;
        received = new Received(flags.text("instance", "raw"));
        topic = flags.need("topic");
        group = flags.need("group");
    }

    boolean run() throws Exception {
        try (PopAdmin admin = new PopAdmin(flags)) {
            if (flags.has("retry-max-times")) {
                admin.setRetries(topic, group, flags.number("retry-max-times", 16));
            }
            List<PopAdmin.Broker> brokers = admin.brokersOf(topic);
            long end = System.nanoTime() + flags.number("run-ms", 60_000) * 1_000_000L;
            int expect = flags.number("expect", -1);
            int refused = 0;
            while (System.nanoTime() < end && !Main.STOPPING.get() && (expect < 0 || received.distinct() < expect)) {
                for (PopAdmin.Broker broker : brokers) {
                    try {
                        PopResult result = pop(admin, broker);
                        if (result.getPopStatus() == PopStatus.FOUND) {
                            take(admin, broker, result.getMsgFoundList());
                        }
                    } catch (Exception e) {
                        refused++;
                        Report.line("refused", "message", String.valueOf(e.getMessage()));
                        Main.STOP.await(100, TimeUnit.MILLISECONDS);
                    }
                }
            }
            return received.report(flags, "pop-raw", "refused", refused);
        }
    }

    private PopResult pop(PopAdmin admin, PopAdmin.Broker broker) throws Exception {
        PopMessageRequestHeader header = new PopMessageRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(topic);
        header.setQueueId(flags.number("queue", -1));
        header.setMaxMsgNums(flags.number("max", 32));
        header.setInvisibleTime((long) flags.number("invisible-ms", 60_000));
        header.setInitMode(ConsumeInitMode.MIN);
        header.setPollTime((long) flags.number("poll-ms", 500));
        header.setBornTime(System.currentTimeMillis());
        header.setExpType("TAG");
        header.setExp(flags.text("expression", "*"));
        header.setOrder(flags.has("order"));
        CompletableFuture<PopResult> future = new CompletableFuture<>();
        admin.api().popMessageAsync(broker.name(), broker.address(), header, PopAdmin.TIMEOUT_MS, new PopCallback() {
            @Override
            public void onSuccess(PopResult result) {
                future.complete(result);
            }

            @Override
            public void onException(Throwable e) {
                future.completeExceptionally(e);
            }
        });
        return future.get(2 * PopAdmin.TIMEOUT_MS, TimeUnit.MILLISECONDS);
    }

    private void take(PopAdmin admin, PopAdmin.Broker broker, List<MessageExt> messages) throws Exception {
        List<String> handles = new ArrayList<>();
        for (MessageExt message : messages) {
            received.add(message, broker.name());
            handles.add(message.getProperty(MessageConst.PROPERTY_POP_CK));
        }
        String action = flags.text("action", "ack");
        if (action.equals("batch")) {
            Answer answer = new Answer();
            admin.api().batchAckMessageAsync(broker.address(), PopAdmin.TIMEOUT_MS, answer, topic, group, handles);
            answer.report("batch");
            return;
        }
        for (String handle : handles) {
            switch (action) {
                case "ack" -> ack(admin, broker, handle);
                case "change" -> change(admin, broker, handle);
                default -> {
                }
            }
        }
    }

    private void ack(PopAdmin admin, PopAdmin.Broker broker, String handle) throws Exception {
        String[] parts = ExtraInfoUtil.split(handle);
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setConsumerGroup(group);
        header.setExtraInfo(handle);
        Answer answer = new Answer();
        admin.api().ackMessageAsync(broker.address(), PopAdmin.TIMEOUT_MS, answer, header);
        answer.report("ack");
    }

    private void change(PopAdmin admin, PopAdmin.Broker broker, String handle) throws Exception {
        String[] parts = ExtraInfoUtil.split(handle);
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setConsumerGroup(group);
        header.setExtraInfo(handle);
        header.setInvisibleTime((long) flags.number("change-ms", 10_000));
        Answer answer = new Answer();
        admin.api().changeInvisibleTimeAsync(broker.name(), broker.address(), header, PopAdmin.TIMEOUT_MS, answer);
        answer.report("change");
    }

    private static final class Answer implements AckCallback {
        private final CompletableFuture<AckResult> future = new CompletableFuture<>();

        @Override
        public void onSuccess(AckResult result) {
            future.complete(result);
        }

        @Override
        public void onException(Throwable e) {
            future.completeExceptionally(e);
        }

        void report(String what) throws Exception {
            AckResult result = future.get(2 * PopAdmin.TIMEOUT_MS, TimeUnit.MILLISECONDS);
            Report.line("answer", "to", what, "status", String.valueOf(result.getStatus()));
        }
    }
}
