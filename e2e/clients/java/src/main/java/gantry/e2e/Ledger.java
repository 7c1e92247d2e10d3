package gantry.e2e;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What was acknowledged and what was consumed, by number of producer and sequence, all in memory. */
final class Ledger {
    private record Copy(int producer, long seq, long queueOffset) {
    }

    private final BitSet[] acked;
    private final BitSet[] consumed;
    private final Map<String, Map<Long, Copy>> queues = new TreeMap<>();
    private final Map<String, Integer> perBroker = new TreeMap<>();
    private final Map<String, Integer> errors = new TreeMap<>();
    private long[] sendNanos = new long[1 << 16];
    private int sends;
    private int failedSends;
    private int deliveries;
    private int redeliveries;
    private long lastAck;
    private long maxGap;

    Ledger(int producers) {
        acked = new BitSet[producers];
        consumed = new BitSet[producers];
        Arrays.setAll(acked, at -> new BitSet());
        Arrays.setAll(consumed, at -> new BitSet());
    }

    synchronized void acked(int producer, long seq, String broker, long nanos) {
        long now = System.nanoTime();
        if (lastAck != 0) {
            maxGap = Math.max(maxGap, now - lastAck);
        }
        lastAck = now;
        acked[producer].set((int) seq);
        perBroker.merge(broker, 1, Integer::sum);
        if (sends == sendNanos.length) {
            sendNanos = Arrays.copyOf(sendNanos, sends * 2);
        }
        sendNanos[sends++] = nanos;
    }

    synchronized void failed(Exception e) {
        failedSends++;
        String text = e.getClass().getSimpleName() + ": " + e.getMessage();
        if (errors.size() < 20) {
            errors.merge(text.substring(0, Math.min(120, text.length())), 1, Integer::sum);
        }
    }

    synchronized void consumed(int producer, long seq, String queue, long queueOffset) {
        deliveries++;
        Copy copy = new Copy(producer, seq, queueOffset);
        if (queues.computeIfAbsent(queue, name -> new TreeMap<>()).put(queueOffset, copy) != null) {
            redeliveries++;
        }
        consumed[producer].set((int) seq);
    }

    synchronized int outstanding() {
        int count = 0;
        for (int at = 0; at < acked.length; at++) {
            BitSet missing = (BitSet) acked[at].clone();
            missing.andNot(consumed[at]);
            count += missing.cardinality();
        }
        return count;
    }

    synchronized void progress(int second) {
        Report.line("progress", "second", second, "acked", total(acked), "failedSends", failedSends,
            "consumedDistinct", total(consumed), "outstanding", outstanding(), "perBroker", perBroker);
    }

    synchronized boolean summary(String id) {
        List<String> lost = new ArrayList<>();
        for (int at = 0; at < acked.length; at++) {
            BitSet missing = (BitSet) acked[at].clone();
            missing.andNot(consumed[at]);
            for (int seq = missing.nextSetBit(0); seq >= 0 && lost.size() < 20; seq = missing.nextSetBit(seq + 1)) {
                lost.add(at + "-" + seq);
            }
        }
        int outOfOrder = outOfOrder();
        long[] sorted = Arrays.copyOf(sendNanos, sends);
        Arrays.sort(sorted);
        double p99 = sends == 0 ? 0 : sorted[Math.min(sends - 1, (int) (sends * 0.99))] / 1e6;
        Report.line("summary", "scenario", "control-load", "id", id, "acked", total(acked), "failedSends", failedSends,
            "consumedDistinct", total(consumed), "duplicates", deliveries - total(consumed), "redelivered", redeliveries,
            "lostCount", outstanding(), "lost", lost, "outOfOrder", outOfOrder, "perBroker", perBroker, "errors", errors,
            "maxGapMs", Math.round(maxGap / 1e6), "p99SendMs", Math.round(p99 * 100) / 100.0);
        return lost.isEmpty() && outOfOrder == 0 && total(acked) > 0;
    }

    /**
     * Counts messages that stand behind a later one of their producer in a queue. A message with several copies (a send that
     * was repeated) is left out: any of its copies may be the late one.
     */
    private int outOfOrder() {
        Map<String, Integer> copies = new HashMap<>();
        queues.values().forEach(queue -> queue.values().forEach(
            copy -> copies.merge(copy.producer() + "-" + copy.seq(), 1, Integer::sum)));
        int count = 0;
        for (Map<Long, Copy> queue : queues.values()) {
            long[] last = new long[acked.length];
            Arrays.fill(last, -1);
            for (Copy copy : queue.values()) {
                if (copies.get(copy.producer() + "-" + copy.seq()) > 1) {
                    continue;
                }
                if (copy.seq() < last[copy.producer()]) {
                    count++;
                }
                last[copy.producer()] = Math.max(last[copy.producer()], copy.seq());
            }
        }
        return count;
    }

    private static int total(BitSet[] sets) {
        int count = 0;
        for (BitSet set : sets) {
            count += set.cardinality();
        }
        return count;
    }
}
