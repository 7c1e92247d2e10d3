package gantry.e2e;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/**
 * Sends synchronously from --threads threads, each --rate messages a second, until it is stopped. Prints what became of each message: `ack`, with
 * its place, or `unknown`, when the client gave up: then it may have been stored or not.
 */
final class SteadySend {
    private final Flags flags;
    private final String id;
    private final AtomicInteger acked = new AtomicInteger();
    private final AtomicInteger unknown = new AtomicInteger();

    SteadySend(Flags flags) {
        this.flags = flags;
        id = flags.text("id", "s" + Long.toString(System.nanoTime(), 36));
    }

    boolean run() throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(flags.text("group", "e2e-steady"));
        Clients.configure(producer, flags, flags.text("instance", "s1"));
        producer.setSendMsgTimeout(flags.number("timeout-ms", 3000));
        producer.setRetryTimesWhenSendFailed(flags.number("client-retries", 2));
        producer.setPollNameServerInterval(flags.number("poll-route-ms", 30_000));
        producer.start();
        List<Thread> threads = new ArrayList<>();
        for (int at = 0; at < flags.number("threads", 4); at++) {
            String sender = id + "-" + at;
            Thread thread = new Thread(() -> send(producer, sender));
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        producer.shutdown();
        Report.line("summary", "scenario", "steady-send", "id", id, "acked", acked.get(), "unknown", unknown.get());
        return true;
    }

    private void send(DefaultMQProducer producer, String sender) {
        long periodNanos = 1_000_000_000L / flags.number("rate", 100);
        long due = System.nanoTime();
        for (int seq = 0; !Main.STOPPING.get(); seq++) {
            Message message = new Message(flags.text("topic", ""), Body.encode(sender, "", seq, flags.number("size", 0)));
            message.setKeys(sender + "-" + seq);
            try {
                SendResult result = producer.send(message);
                acked.incrementAndGet();
                Report.line("ack", "id", sender, "seq", seq, "broker", result.getMessageQueue().getBrokerName(),
                    "queueId", result.getMessageQueue().getQueueId(), "queueOffset", result.getQueueOffset(),
                    "status", result.getSendStatus().name(), "at", System.currentTimeMillis());
            } catch (Exception e) {
                unknown.incrementAndGet();
                Report.line("unknown", "id", sender, "seq", seq, "error", e.getClass().getSimpleName() + ": " + e.getMessage(),
                    "at", System.currentTimeMillis());
            }
            due = Math.max(due + periodNanos, System.nanoTime() - 1_000_000_000L);
            pause(due - System.nanoTime());
        }
    }

    private static void pause(long nanos) {
        if (nanos <= 0) {
            return;
        }
        try {
            Thread.sleep(nanos / 1_000_000, (int) (nanos % 1_000_000));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
