package gantry.e2e;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** `--name value` and `--name` (a switch) flags; an unknown name is an error. */
final class Flags {
    private static final Set<String> KNOWN = Set.of("namesrv", "topic", "group", "count", "mode", "tags", "key", "keys",
        "timeout-ms", "batch-size", "size", "verbose", "start-seq", "retries", "model", "listener", "expression", "from",
        "from-timestamp", "expect", "run-ms", "linger-ms", "instance", "assign", "seek", "commit", "queue", "rate",
        "drain-ms", "fail-first", "fail-times", "max-reconsume", "next-level", "sql", "properties", "namespace", "trace", "compress", "recall", "recall-after-ms", "id", "at-least", "threads", "client-retries", "poll-route-ms",
        "share", "invisible-ms", "batch", "stuck", "retry-max-times", "max", "poll-ms", "action", "change-ms", "order", "local",
        "check", "unknown-checks", "immunity", "light", "delay-level", "timer-ms", "every-ms", "keep-mode");
    private final Map<String, String> values = new LinkedHashMap<>();

    Flags(String[] args, int start) {
        for (int at = start; at < args.length; at++) {
            if (!args[at].startsWith("--")) {
                throw new IllegalArgumentException("expected a flag, found " + args[at]);
            }
            String name = args[at].substring(2);
            if (!KNOWN.contains(name)) {
                throw new IllegalArgumentException("unknown flag --" + name);
            }
            boolean hasValue = at + 1 < args.length && !args[at + 1].startsWith("--");
            values.put(name, hasValue ? args[++at] : "true");
        }
    }

    String text(String name, String otherwise) {
        return values.getOrDefault(name, otherwise);
    }

    String need(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is needed");
        }
        return value;
    }

    String namesrv() {
        String environment = System.getenv("NAMESRV_ADDR");
        return text("namesrv", environment == null ? "127.0.0.1:9876" : environment);
    }

    int number(String name, int otherwise) {
        return Integer.parseInt(text(name, Integer.toString(otherwise)));
    }

    boolean has(String name) {
        return values.containsKey(name);
    }
}
