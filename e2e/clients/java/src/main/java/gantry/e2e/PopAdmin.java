package gantry.e2e;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.impl.MQClientAPIImpl;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.route.BrokerData;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

/** The requests that a tool or a proxy sends, by the client's own remoting API. */
final class PopAdmin implements AutoCloseable {
    static final long TIMEOUT_MS = 5000;

    /** A broker of a topic. */
    record Broker(String name, String address) {
    }

    private final DefaultMQProducer producer;

    PopAdmin(Flags flags) throws Exception {
        producer = new DefaultMQProducer("gantry-e2e-pop-admin", Clients.hook());
        Clients.configure(producer, flags, "pop-admin");
        producer.start();
    }

    MQClientAPIImpl api() {
        return producer.getDefaultMQProducerImpl().getMqClientFactory().getMQClientAPIImpl();
    }

    List<Broker> brokersOf(String topic) throws Exception {
        List<Broker> brokers = new ArrayList<>();
        for (BrokerData broker : api().getTopicRouteInfoFromNameServer(topic, TIMEOUT_MS).getBrokerDatas()) {
            brokers.add(new Broker(broker.getBrokerName(), broker.selectBrokerAddr()));
        }
        return brokers;
    }

    void setPopMode(String topic, String group, int share) throws Exception {
        for (Broker broker : brokersOf(topic)) {
            api().setMessageRequestMode(broker.address(), topic, group, MessageRequestMode.POP, share, TIMEOUT_MS);
        }
    }

    void setRetries(String topic, String group, int retryMaxTimes) throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setRetryMaxTimes(retryMaxTimes);
        for (Broker broker : brokersOf(topic)) {
            api().createSubscriptionGroup(broker.address(), config, TIMEOUT_MS);
        }
    }

    @Override
    public void close() {
        producer.shutdown();
    }
}
