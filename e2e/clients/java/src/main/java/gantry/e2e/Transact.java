package gantry.e2e;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Sends --count transactions, then answers checks until --run-ms or SIGTERM. --local and --check are lists of commit, rollback, unknown,
 * taken by sequence number; `hold` as a local state never returns. The first --unknown-checks checks of a message are answered unknown.
 */
final class Transact implements TransactionListener {
    private final Flags flags;
    private final String[] local;
    private final String[] check;
    private final String id;
    private final Map<String, Integer> checks = new HashMap<>();
    private int halves;
    private int checked;

    Transact(Flags flags) {
        this.flags = flags;
        local = flags.text("local", "commit").split(",");
        check = flags.text("check", "commit").split(",");
        id = flags.text("id", "t" + Long.toString(System.nanoTime(), 36));
    }

    boolean run() throws Exception {
        TransactionMQProducer producer =
            new TransactionMQProducer(null, flags.need("group"), Clients.hook(), flags.has("trace"), null);
        Clients.configure(producer, flags, flags.text("instance", "t1"));
        producer.setSendMsgTimeout(flags.number("timeout-ms", 3000));
        producer.setTransactionListener(this);
        producer.start();
        Report.line("started", "id", id);
        int failed = 0;
        for (int seq = 0; seq < flags.number("count", 10); seq++) {
            Message message = new Message(flags.need("topic"), "tx", id + "-" + seq, Body.encode(id, "", seq, 0));
            Clients.addProperties(message, flags, seq);
            if (flags.has("immunity")) {
                message.putUserProperty("CHECK_IMMUNITY_TIME_IN_SECONDS", flags.need("immunity"));
            }
            if (flags.has("delay-level")) {
                message.setDelayTimeLevel(flags.number("delay-level", 0));
            }
            if (flags.has("timer-ms")) {
                MessageAccessor.putProperty(message, "TIMER_DELAY_MS", flags.need("timer-ms"));
            }
            try {
                TransactionSendResult result = producer.sendMessageInTransaction(message, seq);
                Report.line("ack", "id", id, "seq", seq, "status", result.getSendStatus().name(), "state",
                    result.getLocalTransactionState().name(), "transactionId", result.getTransactionId());
            } catch (Exception e) {
                failed++;
                Report.line("failed", "id", id, "seq", seq, "message", String.valueOf(e.getMessage()));
            }
        }
        Report.line("sent", "id", id);
        Main.STOP.await(flags.number("run-ms", 60_000), TimeUnit.MILLISECONDS);
        producer.shutdown();
        Report.line("summary", "scenario", "transact", "id", id, "halves", halves, "checks", checked, "failed", failed);
        return failed == 0;
    }

    @Override
    public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
        int seq = (Integer) argument;
        String state = local[seq % local.length];
        halves++;
        Report.line("half", "id", id, "seq", seq, "state", state, "transactionId", message.getTransactionId());
        if (state.equals("hold")) {
            try {
                Thread.sleep(Long.MAX_VALUE);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        return stateOf(state);
    }

    @Override
    public synchronized LocalTransactionState checkLocalTransaction(MessageExt message) {
        Body body = Body.decode(message.getBody());
        int times = checks.merge(message.getTransactionId(), 1, Integer::sum);
        boolean known = times > flags.number("unknown-checks", 0);
        String state = known ? check[(int) (body.seq() % check.length)] : "unknown";
        checked++;
        Report.line("check", "id", body.id(), "seq", body.seq(), "state", state, "topic", message.getTopic(),
            "queueId", message.getQueueId(), "times", String.valueOf(message.getProperty("TRANSACTION_CHECK_TIMES")),
            "transactionId", message.getTransactionId(), "ageMs", System.currentTimeMillis() - message.getBornTimestamp());
        return stateOf(state);
    }

    private static LocalTransactionState stateOf(String state) {
        return switch (state) {
            case "commit" -> LocalTransactionState.COMMIT_MESSAGE;
            case "rollback" -> LocalTransactionState.ROLLBACK_MESSAGE;
            case "unknown", "hold" -> LocalTransactionState.UNKNOW;
            default -> throw new IllegalArgumentException("unknown state " + state);
        };
    }
}
