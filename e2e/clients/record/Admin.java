import java.io.BufferedReader;
import java.io.InputStreamReader;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** Runs mqadmin commands, one a line of standard input, in one JVM: `java -cp LIB/* Admin.java`. */
public final class Admin {
    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            System.out.println("### " + line);
            MQAdminStartup.main0(line.trim().split("\\s+"), null);
        }
        System.exit(0);
    }
}
