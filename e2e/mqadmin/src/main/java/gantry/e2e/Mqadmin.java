package gantry.e2e;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs commands of the official mqadmin in one process.
 *
 * Each line of standard input is one command: a time-out in milliseconds and the arguments, separated by tabs. Each is answered by one
 * line of JSON: {"stdout":…,"stderr":…,"ended":false when it was still running at the time-out}. A command that runs for ever, as a
 * monitor does, is interrupted and left behind; what it prints afterwards goes nowhere.
 */
public final class Mqadmin {
    private static final long INTERRUPT_MS = 15_000;

    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            List<String> fields = new ArrayList<>(List.of(line.split("\t", -1)));
            long timeout = Long.parseLong(fields.remove(0));
            ByteArrayOutputStream stdout = new ByteArrayOutputStream();
            ByteArrayOutputStream stderr = new ByteArrayOutputStream();
            System.setOut(new PrintStream(stdout, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(stderr, true, StandardCharsets.UTF_8));
            Thread thread = new Thread(() -> MQAdminStartup.main0(fields.toArray(new String[0]), null));
            thread.setDaemon(true);
            thread.start();
            thread.join(timeout);
            boolean ended = !thread.isAlive();
            if (!ended) {
                thread.interrupt();
                thread.join(INTERRUPT_MS);
            }
            System.setOut(nowhere);
            System.setErr(nowhere);
            out.println("{\"stdout\":" + quoted(stdout) + ",\"stderr\":" + quoted(stderr) + ",\"ended\":" + ended + "}");
            out.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static String quoted(ByteArrayOutputStream bytes) {
        StringBuilder text = new StringBuilder("\"");
        for (char letter : bytes.toString(StandardCharsets.UTF_8).toCharArray()) {
            if (letter == '"' || letter == '\\') {
                text.append('\\').append(letter);
            } else if (letter < ' ') {
                text.append(String.format("\\u%04x", (int) letter));
            } else {
                text.append(letter);
            }
        }
        return text.append('"').toString();
    }
}
