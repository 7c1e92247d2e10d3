import java.nio.charset.StandardCharsets;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.rocketmq.filter.FilterFactory;
import org.apache.rocketmq.filter.expression.EvaluationContext;
import org.apache.rocketmq.filter.expression.Expression;

/**
 * What Java's SQL92 filter says of many expressions: the lines of broker/filter/testdata/verdicts.txt.
 *
 * java -cp 'target/lib/*' FilterVerdicts.java > ../../broker/filter/testdata/verdicts.txt
 *
 * First the messages, a line `message` and name=value fields each, then the expressions: `refused` or one letter for each message (T true, F
 * false, N null, E the evaluation throws), and the expression. Fields are separated by tabs, control characters are escaped as in Java.
 */
public class FilterVerdicts {
    static final String[][] MESSAGES = {
        {},
        {"a", "5", "b", "abc", "TAGS", "t1"},
        {"a", "5.0", "b", "5", "c", "true"},
        {"a", "-3", "b", "+3", "c", "TRUE", "d", "x"},
        {"a", "3000000000", "b", "-3000000000", "c", "false"},
        {"a", "9223372036854775807", "b", "9223372036854775808", "d", "it's"},
        {"a", "1e3", "b", "1000", "c", "1.5f", "d", " 7 "},
        {"a", "NaN", "b", "Infinity", "c", "-0.0", "d", "0"},
        {"b", "abc", "c", "ABC", "d", "abcabc"},
        {"a", "007", "b", "7", "c", "\u00e9t\u00e9", "d", "\u4f60\u597d"},
        {"a", "2147483647", "b", "2147483648", "c", "-2147483648", "_x$1", "y"},
        {"a", "0.1", "b", ".1", "c", "1.", "d", "12345678901"},
    };
    static final String[] GIVEN = {
        "a > 5 AND b = 'abc'", "a BETWEEN 0 AND 5", "a NOT BETWEEN 0 AND 5", "a between -5 and 5", "b IN ('abc', 'x')",
        "b NOT IN ('abc')", "b IN ('1','2','3','4','5','6','7','8','9','abc')", "a IS NULL", "a IS NOT NULL", "TAGS = 't1'",
        "b CONTAINS 'b'", "b NOT CONTAINS 'b'", "b STARTSWITH 'ab'", "b NOT STARTSWITH 'ab'", "b ENDSWITH 'bc'", "b NOT ENDSWITH 'bc'",
        "b CONTAINS ''", "b NOT CONTAINS ''", "'abc' CONTAINS 'b'", "5 CONTAINS '5'", "(a = 5) CONTAINS 't'", "-a CONTAINS 'x'",
        "c = TRUE", "c = false", "TRUE = c", "c <> TRUE", "NOT c", "c", "TRUE", "FALSE", "NULL", "NOT NULL", "NULL IS NULL", "TRUE IS NULL",
        "a = b", "a <> b", "a > b", "a >= b", "(a > 1) = TRUE", "(a > 1) = c", "(a > 1) = 5", "c = (a > 1)", "5 = (a > 1)",
        "a = '5'", "a = 5", "5 = a", "5 < a", "a > 3000000000", "a = 3000000000", "a > 9223372036854775807", "a > 9223372036854775808",
        "a = 5.0", "a > 0.0", "a > 0.1", "a > 1e400", "a > 4.9e-324", "a = -5", "a = - 5", "a = +5", "a > -(-5)", "a = -'5'", "-a = 5", "-a IS NULL",
        "a > 'x'", "a > TRUE", "a > NULL", "NULL = a", "a = NULL", "TRUE = 5", "5 = TRUE", "'x' = TRUE", "TRUE = 'x'", "'5' = 5", "5 = '5'", "'x' = 5",
        "5 = 5.0", "5 = 5l", "5 > 4", "4 > 5", "5L = 5", "0L = 0", "007 = a", "a = 007", "a BETWEEN 5 AND 0", "a BETWEEN 'a' AND 'b'",
        "a BETWEEN NULL AND 5", "a BETWEEN 1 AND 2.5", "a BETWEEN b AND d", "a BETWEEN 0 AND b", "5 BETWEEN a AND b",
        "a LIKE 'x'", "a > 5 )", "(a > 5", "a > 5 b", "a > 5 XOR b", "a > 5;", "a == 5", "a != 5", "a >", "", " ", "a AND", "a AND b OR c", "a OR b AND c",
        "a = 5 OR b = 'abc'", "a > 1 OR b = 'abc'", "b = 'abc' OR a > 1", "NOT a > 1", "NOT (a > 1)", "NOT NOT c = TRUE", "a NOT b", "a NOT NULL", "a IS 5",
        "a IN (5)", "a IN ()", "5 IN ('5')", "(a) IN ('5')", "a IN ('5',)", "'it''s' = d", "d = 'it''s'", "d = 'it's'", "d = 'it", "d = 'x'''",
        "a -- comment\n > 1", "a -- comment", "a /* x */ > /* ** / */ 1", "a /* x", "a > 1 /", "a > 1 /* x */", "_x$1 = 'y'", "$a IS NULL", "A = 5",
        "a > 1 > 2", "a = 1 = 2", "a = 5 = TRUE", "a > .5", "a > 5.", "a > 5.e1", "a > 5E1", "a > 1e", "a > 12abc", "a > 1.5f", "a > 0x10",
        "a = '\u4f60\u597d'", "d = '\u4f60\u597d'", "d CONTAINS '\u597d'", "c STARTSWITH '\u00e9'", "\u00e9 = 5", "a\t=\n5", "a = 5 AND", "AND", "NOT", "()", "a = ()",
        "a IS NULL IS NULL", "a = 1 IS NOT NULL", "a > 1 = TRUE", "a CONTAINS 'x' CONTAINS 'y'", "a BETWEEN 1 AND 2 AND 3", "a BETWEEN 1 AND 2 AND c = TRUE",
        "+ + 5 = a", "+a = 5", "+TRUE", "-TRUE", "-(a > 1) IS NULL", "-(a > 1) = 5", "a > -(b > 1)", "-(b > 1) > a", "a = -b", "-b = a", "-b > a", "a > -b",
        "- -5 = a", "--5 = a", "--5 = a\n", "a<>5", "a<5>b", "a< >5", "a > = 5", "'a' = 'a'", "'a' = 'b'", "'a' <> 'b'", "'a' IS NULL", "TRUE AND NULL", "NULL OR TRUE",
        "FALSE AND a > 'x'", "FALSE AND a > 5", "FALSE OR a > 5", "TRUE OR b > 5", "NULL AND b > 5", "c AND TRUE", "c = 'TRUE'", "c IN ('true', 'TRUE')",
    };
    static final String[] WORDS = {
        "a", "b", "c", "d", "e", "5", "0", "1.5", "3000000000", "'abc'", "'5'", "''", "TRUE", "FALSE", "NULL", "AND", "OR", "NOT", "BETWEEN", "IN", "IS",
        "CONTAINS", "STARTSWITH", "ENDSWITH", "(", ")", ",", "=", "<>", ">", ">=", "<", "<=", "+", "-", "/* c */", "x'", "#", "1e3", "5L",
    };
    static final Random RANDOM = new Random(20_260);

    static String pick(String... of) {
        return of[RANDOM.nextInt(of.length)];
    }

    static String property() {
        return pick("a", "b", "c", "d", "e", "TAGS");
    }

    static String number() {
        return pick("5", "0", "-3", "+3", "5.0", "1.5", "3000000000", "9223372036854775807", "7", "1000", "-(2)", "2147483648", "0.1");
    }

    static String string() {
        return pick("'abc'", "'5'", "''", "'a'", "'true'", "'TRUE'", "'x'", "'it''s'", "'bc'");
    }

    static String operand(int depth) {
        switch (RANDOM.nextInt(depth > 0 ? 9 : 7)) {
            case 0: case 1: case 2: return property();
            case 3: case 4: return number();
            case 5: return string();
            case 6: return pick("TRUE", "FALSE", "-" + property(), "NULL");
            default: return "(" + condition(depth - 1) + ")";
        }
    }

    static String condition(int depth) {
        if (depth > 0 && RANDOM.nextInt(3) > 0) {
            switch (RANDOM.nextInt(4)) {
                case 0: return condition(depth - 1) + " AND " + condition(depth - 1);
                case 1: return condition(depth - 1) + " OR " + condition(depth - 1);
                case 2: return "NOT " + condition(depth - 1);
                default: return "(" + condition(depth - 1) + ")";
            }
        }
        switch (RANDOM.nextInt(10)) {
            case 0: case 1: return property() + " " + pick("=", "<>") + " " + pick(number(), string(), property(), "TRUE");
            case 2: case 3: return property() + pick(" > ", " >= ", " < ", " <= ") + pick(number(), number(), property());
            case 4: return operand(depth) + pick(" = ", " <> ", " > ", " <= ") + operand(depth);
            case 5: return property() + pick("", " NOT") + " BETWEEN " + pick(number(), property()) + " AND " + pick(number(), property());
            case 6: return property() + pick("", " NOT") + " IN (" + string() + ", " + string() + ")";
            case 7: return operand(depth) + " IS" + pick("", " NOT") + " NULL";
            case 8: return operand(depth) + pick("", " NOT") + pick(" CONTAINS ", " STARTSWITH ", " ENDSWITH ") + string();
            default: return pick(property(), "TRUE", "FALSE", "NULL");
        }
    }

    static String soup() {
        StringBuilder text = new StringBuilder();
        for (int left = 1 + RANDOM.nextInt(9); left > 0; left--) text.append(pick(WORDS)).append(pick(" ", " ", ""));
        return text.toString();
    }

    static char verdict(Expression expression, Map<String, String> properties) {
        EvaluationContext context = new EvaluationContext() {
            @Override
            public Object get(String name) {
                return properties.get(name);
            }

            @Override
            public Map<String, Object> keyValues() {
                return new HashMap<>(properties);
            }
        };
        try {
            Object result = expression.evaluate(context);
            if (result == null) return 'N';
            return Boolean.TRUE.equals(result) ? 'T' : 'F';
        } catch (Throwable e) {
            return 'E';
        }
    }

    static String escaped(String text) {
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8.name());
        List<Map<String, String>> messages = new ArrayList<>();
        for (String[] given : MESSAGES) {
            Map<String, String> properties = new HashMap<>();
            StringBuilder line = new StringBuilder("message");
            for (int at = 0; at < given.length; at += 2) {
                properties.put(given[at], given[at + 1]);
                line.append('\t').append(given[at]).append('=').append(given[at + 1]);
            }
            messages.add(properties);
            out.println(line);
        }
        Set<String> expressions = new LinkedHashSet<>(List.of(GIVEN));
        for (int count = 0; count < 2500; count++) expressions.add(condition(RANDOM.nextInt(4)));
        for (int count = 0; count < 2000; count++) expressions.add(soup());
        for (String text : expressions) {
            String verdicts;
            try {
                Expression expression = FilterFactory.INSTANCE.get("SQL92").compile(text);
                StringBuilder letters = new StringBuilder();
                for (Map<String, String> properties : messages) letters.append(verdict(expression, properties));
                verdicts = letters.toString();
            } catch (Throwable e) {
                verdicts = "refused";
            }
            out.println(verdicts + "\t" + escaped(text));
        }
    }
}
