package gantry.e2e;

import java.lang.reflect.InvocationTargetException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;

/** Sends --count messages in one --mode and counts the acknowledgements. */
final class Produce {
    private final Flags flags;
    private final String topic;
    private final String id;
    private final int count;
    private final int startSeq;
    private final int keys;
    private final String[] tags;
    private final Map<String, Integer> perQueue = new TreeMap<>();
    private final Map<String, Integer> errors = new TreeMap<>();
    private final Set<String> causes = new TreeSet<>();
    private int acked;
    private int failed;
    private int retries;

    Produce(Flags flags) {
        this.flags = flags;
        topic = flags.need("topic");
        count = flags.number("count", 100);
        startSeq = flags.number("start-seq", 0);
        keys = flags.number("keys", flags.text("mode", "sync").equals("by-key") ? 7 : 0);
        tags = flags.text("tags", "").isEmpty() ? new String[0] : flags.text("tags", "").split(",");
        id = flags.text("id", "m" + Long.toString(System.nanoTime(), 36));
    }

    boolean run() throws Exception {
        DefaultMQProducer producer = Clients.producer(flags, flags.text("group", "e2e-producer"));
        Clients.configure(producer, flags, flags.text("instance", "p1"));
        producer.setSendMsgTimeout(flags.number("timeout-ms", 3000));
        producer.setRetryTimesWhenSendAsyncFailed(flags.number("client-retries", 2));
        producer.start();
        long start = System.nanoTime();
        String mode = flags.text("mode", "sync");
        int sent = switch (mode) {
            case "sync" -> sync(producer, false);
            case "by-key" -> sync(producer, true);
            case "async" -> async(producer);
            case "oneway" -> oneway(producer);
            case "batch" -> batch(producer);
            default -> throw new IllegalArgumentException("unknown --mode " + mode);
        };
        double elapsedMs = (System.nanoTime() - start) / 1e6;
        if (flags.has("trace")) {
            // Traces are sent in the background, after five seconds at the latest, and what shuts down waits for no answers to them.
            Thread.sleep(8000);
        }
        producer.shutdown();
        Report.line("summary", "scenario", "produce", "mode", mode, "id", id, "sent", sent, "acked", acked, "failed", failed,
            "retries", retries, "perQueue", perQueue, "errors", errors, "causes", causes, "elapsedMs", Math.round(elapsedMs));
        return mode.equals("oneway") ? sent == count : acked == count && failed == 0;
    }

    private int sync(DefaultMQProducer producer, boolean byKey) {
        int tries = 1 + flags.number("retries", 0);
        for (int seq = startSeq; seq < startSeq + count; seq++) {
            for (int attempt = 1; attempt <= tries; attempt++) {
                Message message = message(seq);
                try {
                    SendResult result = byKey
                        ? producer.send(message, new SelectMessageQueueByHash(), key(seq))
                        : producer.send(message);
                    acknowledged(seq, result);
                    recall(producer, seq, result);
                    break;
                } catch (Exception e) {
                    if (attempt == tries) {
                        failed(seq, e);
                    } else {
                        retries++;
                    }
                }
            }
        }
        return count;
    }

    /** With --recall N every N-th message is recalled, after --recall-after-ms; only 5.x clients can. */
    private void recall(DefaultMQProducer producer, int seq, SendResult result) throws Exception {
        if (!flags.has("recall") || seq % flags.number("recall", 1) != 0) {
            return;
        }
        Thread.sleep(flags.number("recall-after-ms", 0));
        Object handle = SendResult.class.getMethod("getRecallHandle").invoke(result);
        try {
            Object recalled = DefaultMQProducer.class.getMethod("recallMessage", String.class, String.class)
                .invoke(producer, topic, handle);
            Report.line("recalled", "seq", seq, "msgId", recalled);
        } catch (InvocationTargetException e) {
            Report.line("recall-failed", "seq", seq, "message", String.valueOf(e.getCause().getMessage()));
        }
    }

    private int async(DefaultMQProducer producer) throws InterruptedException {
        CountDownLatch latch = new CountDownLatch(count);
        Semaphore window = new Semaphore(64);
        for (int at = startSeq; at < startSeq + count; at++) {
            int seq = at;
            window.acquire();
            SendCallback callback = new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    acknowledged(seq, result);
                    end();
                }

                @Override
                public void onException(Throwable e) {
                    failed(seq, e);
                    end();
                }

                private void end() {
                    window.release();
                    latch.countDown();
                }
            };
            try {
                producer.send(message(seq), callback);
            } catch (Exception e) {
                callback.onException(e);
            }
        }
        latch.await(60, TimeUnit.SECONDS);
        return count;
    }

    private int oneway(DefaultMQProducer producer) {
        int sent = 0;
        for (int seq = startSeq; seq < startSeq + count; seq++) {
            try {
                producer.sendOneway(message(seq));
                sent++;
            } catch (Exception e) {
                failed(seq, e);
            }
        }
        return sent;
    }

    private int batch(DefaultMQProducer producer) {
        int size = flags.number("batch-size", 10);
        for (int first = startSeq; first < startSeq + count; first += size) {
            List<Message> messages = new ArrayList<>();
            for (int seq = first; seq < Math.min(first + size, startSeq + count); seq++) {
                messages.add(message(seq));
            }
            try {
                SendResult result = producer.send(messages);
                acknowledgedBatch(first, messages.size(), result);
            } catch (Exception e) {
                for (int seq = first; seq < first + messages.size(); seq++) {
                    failed(seq, e);
                }
            }
        }
        return count;
    }

    private String key(int seq) {
        return keys == 0 ? "" : flags.text("key", "k") + seq % keys;
    }

    private Message message(int seq) {
        String key = key(seq);
        Message message = new Message(topic, Body.encode(id, key, seq, flags.number("size", 0)));
        if (tags.length > 0) {
            message.setTags(tags[seq % tags.length]);
        }
        message.setKeys(key.isEmpty() ? id + "-" + seq : key);
        if (flags.has("light")) {
            // {part} in a name is one of four.
            String names = flags.need("light").replace("{part}", String.valueOf(seq % 4));
            MessageAccessor.putProperty(message, "INNER_MULTI_DISPATCH", names);
        }
        Clients.addProperties(message, flags, seq);
        return message;
    }

    private synchronized void acknowledged(int seq, SendResult result) {
        acked++;
        String queue = result.getMessageQueue().getBrokerName() + ":" + result.getMessageQueue().getQueueId();
        perQueue.merge(queue, 1, Integer::sum);
        if (flags.has("verbose")) {
            ack(seq, result, result.getMsgId(), result.getOffsetMsgId(), result.getQueueOffset());
        }
        if (!result.getSendStatus().name().equals("SEND_OK")) {
            errors.merge(result.getSendStatus().name(), 1, Integer::sum);
        }
    }

    private void acknowledgedBatch(int first, int size, SendResult result) {
        String[] unique = result.getMsgId().split(",");
        String[] offsets = result.getOffsetMsgId().split(",");
        if (unique.length != size || offsets.length != size) {
            throw new IllegalStateException("a batch of " + size + " was answered with " + offsets.length + " ids");
        }
        String queue = result.getMessageQueue().getBrokerName() + ":" + result.getMessageQueue().getQueueId();
        acked += size;
        perQueue.merge(queue, size, Integer::sum);
        if (flags.has("verbose")) {
            for (int at = 0; at < size; at++) {
                ack(first + at, result, unique[at], offsets[at], result.getQueueOffset() + at);
            }
        }
    }

    private void ack(int seq, SendResult result, String msgId, String offsetMsgId, long queueOffset) {
        Report.line("ack", "id", id, "seq", seq, "key", key(seq), "msgId", msgId, "offsetMsgId", offsetMsgId,
            "broker", result.getMessageQueue().getBrokerName(), "queueId", result.getMessageQueue().getQueueId(),
            "queueOffset", queueOffset, "status", result.getSendStatus().name());
    }

    private synchronized void failed(int seq, Throwable e) {
        failed++;
        String text = String.valueOf(e.getMessage());
        errors.merge(e.getClass().getSimpleName() + ": " + text.substring(0, Math.min(160, text.length())), 1, Integer::sum);
        // What the broker answered.
        if (e.getCause() != null && causes.size() < 10) {
            causes.add(String.valueOf(e.getCause().getMessage()));
        }
    }
}
