package gantry.e2e;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/** `Main SCENARIO --flag value ...`: exit 0 when what was expected was met, 1 when not, 2 for wrong usage. */
public final class Main {
    /** Set by SIGTERM or SIGINT; scenarios then end in their own time and print their summary. */
    static final AtomicBoolean STOPPING = new AtomicBoolean();
    static final CountDownLatch STOP = new CountDownLatch(1);

    private Main() {
    }

    public static void main(String[] args) {
        Report.open();
        if (System.getProperty("rocketmq.client.logRoot") == null) {
            System.setProperty("rocketmq.client.logRoot",
                System.getProperty("java.io.tmpdir") + "/gantry-e2e-logs/" + ProcessHandle.current().pid());
        }
        System.setProperty("rocketmq.client.localOffsetStoreDir", System.getProperty("java.io.tmpdir") + "/gantry-e2e-offsets");
        CountDownLatch done = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            STOPPING.set(true);
            STOP.countDown();
            try {
                done.await(120, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        int code;
        try {
            code = run(args) ? 0 : 1;
        } catch (IllegalArgumentException e) {
            System.err.println(e.getMessage());
            code = 2;
        } catch (Throwable e) {
            e.printStackTrace();
            Report.line("error", "message", String.valueOf(e.getMessage()), "type", e.getClass().getName());
            code = 1;
        }
        System.out.flush();
        System.err.flush();
        Runtime.getRuntime().halt(code);
    }

    private static boolean run(String[] args) throws Exception {
        if (args.length == 0) {
            throw new IllegalArgumentException("produce | push-consume | lite-pull | control-load | quickstart | steady-send | pop-consume | pop-raw | transact | request | respond | light-queue | open-tracing");
        }
        Flags flags = new Flags(args, 1);
        return switch (args[0]) {
            case "produce" -> new Produce(flags).run();
            case "push-consume" -> new PushConsume(flags).run();
            case "lite-pull" -> new LitePull(flags).run();
            case "control-load" -> new ControlLoad(flags).run();
            case "request" -> new RequestReply(flags).request();
            case "respond" -> new RequestReply(flags).respond();
            case "transact" -> new Transact(flags).run();
            case "quickstart" -> new Quickstart(flags).run();
            case "light-queue" -> new LightQueue(flags).run();
            case "open-tracing" -> new OpenTracing(flags).run();
            case "steady-send" -> new SteadySend(flags).run();
            case "pop-consume", "pop-raw" -> ofNewClient(args[0], flags);
            default -> throw new IllegalArgumentException("unknown scenario " + args[0]);
        };
    }

    /** Scenarios whose classes are left out where the client lacks what they need. */
    private static boolean ofNewClient(String scenario, Flags flags) throws Exception {
        String name = scenario.equals("pop-raw") ? "PopRaw" : "PopConsume";
        var constructor = Class.forName("gantry.e2e." + name).getDeclaredConstructor(Flags.class);
        Object program = constructor.newInstance(flags);
        return (Boolean) program.getClass().getDeclaredMethod("run").invoke(program);
    }
}
