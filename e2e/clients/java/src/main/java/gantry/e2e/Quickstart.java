package gantry.e2e;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * The quickstart consumer and producer out of Apache RocketMQ's own rocketmq-example jar, as they are: 1000 messages of
 * TopicTest. They print their results, which are counted here. For client versions without a published example jar,
 * QuickstartExample does the same steps.
 */
final class Quickstart {
    private static final int SENT = 1000;
    private final Flags flags;

    Quickstart(Flags flags) {
        this.flags = flags;
    }

    boolean run() throws Exception {
        // What the quickstart says to do: export NAMESRV_ADDR. The property is the same setting.
        if (System.getProperty("rocketmq.namesrv.addr") == null) {
            System.setProperty("rocketmq.namesrv.addr", flags.namesrv());
        }
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream capture = new PrintStream(printed, true, StandardCharsets.UTF_8);
        System.setOut(capture);
        boolean official = exampleMain("Consumer");
        if (official) {
            exampleMain("Producer");
        } else {
            QuickstartExample.consume();
            QuickstartExample.produce(SENT);
        }
        long end = System.nanoTime() + flags.number("run-ms", 60_000) * 1_000_000L;
        int received = 0;
        int acked = 0;
        while (System.nanoTime() < end && !Main.STOPPING.get()) {
            String text = printed.toString(StandardCharsets.UTF_8);
            acked = occurrences(text, "sendStatus=SEND_OK");
            received = occurrences(text, "MessageExt [");
            if (acked >= SENT && received >= SENT) {
                break;
            }
            Main.STOP.await(100, java.util.concurrent.TimeUnit.MILLISECONDS);
        }
        Report.line("summary", "scenario", "quickstart", "acked", acked, "received", received,
            "officialClasses", official);
        if (acked != SENT || received < SENT) {
            String text = printed.toString(StandardCharsets.UTF_8);
            System.err.println(text.substring(Math.max(0, text.length() - 4000)));
        }
        return acked == SENT && received >= SENT;
    }

    /** False when the class is not there. */
    private static boolean exampleMain(String name) throws ReflectiveOperationException {
        Class<?> example;
        try {
            example = Class.forName("org.apache.rocketmq.example.quickstart." + name);
        } catch (ClassNotFoundException e) {
            return false;
        }
        example.getMethod("main", String[].class).invoke(null, (Object) new String[0]);
        return true;
    }

    private static int occurrences(String text, String part) {
        int count = 0;
        for (int at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length())) {
            count++;
        }
        return count;
    }
}
