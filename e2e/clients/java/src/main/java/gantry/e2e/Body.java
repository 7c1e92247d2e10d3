package gantry.e2e;

import java.nio.charset.StandardCharsets;

/** A message body of these programs: `id key seq [padding]`. Other bodies have id and key null and seq -1. */
record Body(String id, String key, long seq) {
    static byte[] encode(String id, String key, long seq, int size) {
        StringBuilder text = new StringBuilder(id).append(' ').append(key.isEmpty() ? "-" : key).append(' ').append(seq);
        if (text.length() < size) {
            text.append(' ');
            for (int at = text.length(); at < size; at++) {
                text.append((char) ('a' + at % 26));
            }
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    static Body decode(byte[] bytes) {
        String[] parts = new String(bytes, StandardCharsets.UTF_8).split(" ", 4);
        if (parts.length < 3 || !parts[2].matches("\\d{1,18}")) {
            return new Body(null, null, -1);
        }
        return new Body(parts[0], parts[1].equals("-") ? "" : parts[1], Long.parseLong(parts[2]));
    }
}
