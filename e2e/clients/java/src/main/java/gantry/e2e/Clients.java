package gantry.e2e;

import java.util.List;
import java.util.TreeSet;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.AllocateMessageQueueStrategy;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.RPCHook;

/** What differs between the client versions, and what consumers tell about themselves. */
final class Clients {
    private Clients() {
    }

    /** MessageModel moved to another package in 5.x; its constants did not. */
    static void setMessageModel(DefaultMQPushConsumer consumer, String name) throws ReflectiveOperationException {
        Object model = consumer.getMessageModel();
        for (Object constant : model.getClass().getEnumConstants()) {
            if (((Enum<?>) constant).name().equalsIgnoreCase(name)) {
                DefaultMQPushConsumer.class.getMethod("setMessageModel", model.getClass()).invoke(consumer, constant);
                return;
            }
        }
        throw new IllegalArgumentException("unknown --model " + name);
    }

    /** The default strategy, which prints every change of the queues that this member is given. */
    static final class ReportingStrategy implements AllocateMessageQueueStrategy {
        private final AllocateMessageQueueStrategy strategy = new AllocateMessageQueueAveragely();
        private final String consumer;
        private final String ignoredPrefix = "%RETRY%";
        private String last = "";

        ReportingStrategy(String consumer) {
            this.consumer = consumer;
        }

        @Override
        public synchronized List<MessageQueue> allocate(String group, String client, List<MessageQueue> all, List<String> members) {
            List<MessageQueue> result = strategy.allocate(group, client, all, members);
            if (all.isEmpty() || all.get(0).getTopic().startsWith(ignoredPrefix)) {
                return result;
            }
            TreeSet<String> queues = new TreeSet<>();
            for (MessageQueue queue : result) {
                queues.add(queue.getBrokerName() + ":" + queue.getQueueId());
            }
            String now = members.size() + " " + queues;
            if (!now.equals(last)) {
                last = now;
                Report.line("assigned", "consumer", consumer, "members", members.size(), "queues", queues,
                    "all", all.size());
            }
            return result;
        }

        @Override
        public String getName() {
            return strategy.getName();
        }
    }

    /** Signs each request with GANTRY_E2E_ACCESS_KEY and GANTRY_E2E_SECRET_KEY; null without them. */
    static RPCHook hook() {
        String accessKey = System.getenv("GANTRY_E2E_ACCESS_KEY");
        String secretKey = System.getenv("GANTRY_E2E_SECRET_KEY");
        return accessKey == null || secretKey == null
            ? null
            : new AclClientRPCHook(new SessionCredentials(accessKey, secretKey));
    }

    /** With --namespace NAME, --trace and --compress LZ4|ZSTD|ZLIB. */
    static DefaultMQProducer producer(Flags flags, String group) throws ReflectiveOperationException {
        String namespace = flags.text("namespace", null);
        DefaultMQProducer producer = new DefaultMQProducer(namespace, group, hook(), flags.has("trace"), null);
        if (flags.has("compress")) {
            // There is no choice before 5.x.
            Class<?> type = Class.forName("org.apache.rocketmq.common.compression.CompressionType");
            Object chosen = type.getMethod("of", String.class).invoke(null, flags.need("compress"));
            DefaultMQProducer.class.getMethod("setCompressType", type).invoke(producer, chosen);
        }
        return producer;
    }

    /** With --namespace NAME, --trace and --max-reconsume N. */
    static DefaultMQPushConsumer consumer(Flags flags, String group, AllocateMessageQueueStrategy strategy) {
        String namespace = flags.text("namespace", null);
        DefaultMQPushConsumer consumer =
            new DefaultMQPushConsumer(namespace, group, hook(), strategy, flags.has("trace"), null);
        if (flags.has("max-reconsume")) {
            consumer.setMaxReconsumeTimes(flags.number("max-reconsume", -1));
        }
        return consumer;
    }

    /** --properties a=1,b=2; {seq} in a value is the number of the message. */
    static void addProperties(Message message, Flags flags, int seq) {
        for (String pair : flags.text("properties", "").split(",")) {
            if (pair.indexOf('=') > 0) {
                String value = pair.substring(pair.indexOf('=') + 1).replace("{seq}", String.valueOf(seq));
                MessageAccessor.putProperty(message, pair.substring(0, pair.indexOf('=')), value);
            }
        }
    }

    /** --expression, which is one of SQL92 with --sql. */
    static MessageSelector selector(Flags flags) {
        String expression = flags.text("expression", "*");
        return flags.has("sql") ? MessageSelector.bySql(expression) : MessageSelector.byTag(expression);
    }

    /** Name servers, instance name and time-outs out of the flags. */
    static void configure(ClientConfig client, Flags flags, String instance) {
        client.setNamesrvAddr(flags.namesrv());
        client.setInstanceName(instance + "-" + ProcessHandle.current().pid());
        client.setMqClientApiTimeout(flags.number("timeout-ms", 3000));
        client.setPollNameServerInterval(flags.number("poll-route-ms", 30_000));
    }
}
