package gantry.e2e;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.common.message.MessageExt;

/** Prints and counts what a consumer was given. */
final class Received {
    private final String consumer;
    private final Map<String, Long> lastOffset = new HashMap<>();
    private final Map<String, Long> perQueue = new HashMap<>();
    private final Set<String> seen = new HashSet<>();
    private int total;
    private int outOfOrder;
    private long lastAt = System.nanoTime();

    Received(String consumer) {
        this.consumer = consumer;
    }

    /** Returns true for a message seen for the first time. */
    synchronized boolean add(MessageExt message, String broker) {
        Body body = Body.decode(message.getBody());
        String offsetMsgId = offsetIdOf(message);
        Report.line("message", "consumer", consumer, "msgId", message.getMsgId(), "offsetMsgId", offsetMsgId,
            "topic", message.getTopic(), "queueId", message.getQueueId(), "broker", broker,
            "queueOffset", message.getQueueOffset(), "id", body.id(), "key", body.key(), "seq", body.seq(),
            "body", shortened(message.getBody()), "bodySize", message.getBody().length, "tags", message.getTags(),
            "keys", message.getKeys(), "reconsumeTimes", message.getReconsumeTimes(),
            "bornTimestamp", message.getBornTimestamp(), "storeTimestamp", message.getStoreTimestamp());
        total++;
        lastAt = System.nanoTime();
        String queue = broker + ":" + message.getQueueId();
        perQueue.merge(queue, 1L, Long::sum);
        Long last = lastOffset.get(queue);
        if (last != null && message.getQueueOffset() <= last) {
            outOfOrder++;
        }
        lastOffset.put(queue, message.getQueueOffset());
        return seen.add(body.id() == null ? offsetMsgId : body.id() + " " + body.seq());
    }

    synchronized int distinct() {
        return seen.size();
    }

    synchronized boolean quietFor(long ms) {
        return System.nanoTime() - lastAt > ms * 1_000_000L;
    }

    /** Waits for --expect messages and then --linger-ms for unexpected ones, for --run-ms, or for a signal. */
    void await(Flags flags) throws InterruptedException {
        long end = System.nanoTime() + flags.number("run-ms", 60_000) * 1_000_000L;
        int expect = flags.number("expect", -1);
        while (System.nanoTime() < end && !Main.STOPPING.get()) {
            if (expect >= 0 && distinct() >= expect && quietFor(flags.number("linger-ms", 1000))) {
                return;
            }
            Main.STOP.await(20, java.util.concurrent.TimeUnit.MILLISECONDS);
        }
    }

    synchronized boolean report(Flags flags, String scenario, Object... more) {
        int expect = flags.number("expect", -1);
        Object[] all = new Object[12 + more.length];
        Object[] own = {"scenario", scenario, "consumer", consumer, "received", total, "distinct", seen.size(),
            "outOfOrder", outOfOrder, "perQueue", perQueue};
        System.arraycopy(own, 0, all, 0, own.length);
        System.arraycopy(more, 0, all, own.length, more.length);
        Report.line("summary", all);
        return expect < 0 || seen.size() == expect || flags.has("at-least") && seen.size() > expect;
    }

    private static String offsetIdOf(MessageExt message) {
        try {
            return org.apache.rocketmq.common.message.MessageDecoder.createMessageId(
                message.getStoreHost(), message.getCommitLogOffset());
        } catch (Exception e) {
            return "";
        }
    }

    private static String shortened(byte[] body) {
        String text = new String(body, StandardCharsets.UTF_8);
        return text.length() > 200 ? text.substring(0, 200) : text;
    }
}
