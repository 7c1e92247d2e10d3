import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Calls that the scenarios do not make: `java -cp CLIENT Extra.java NAMESRV TOPIC`. A refused call is expected and printed. */
@SuppressWarnings("deprecation")
public final class Extra {
    interface Call {
        Object run() throws Exception;
    }

    static void call(String what, Call call) {
        try {
            System.out.println(what + ": " + call.run());
        } catch (Exception e) {
            System.out.println(what + ": " + e);
        }
    }

    public static void main(String[] args) {
        try {
            run(args);
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    static void run(String[] args) throws Exception {
        String topic = args[1];
        DefaultMQProducer producer = new DefaultMQProducer("extra-producer");
        producer.setNamesrvAddr(args[0]);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        SendResult sent = producer.send(new Message(topic, "TagA", "extra-key", "extra".getBytes()));
        MessageQueue queue = sent.getMessageQueue();
        MessageQueue wrong = new MessageQueue(topic, queue.getBrokerName(), 99);
        call("illegal queue", () -> producer.send(new Message(topic, "x".getBytes()), wrong));
        Message delayed = new Message(topic, "later".getBytes());
        delayed.setDelayTimeLevel(1);
        call("delayed", () -> producer.send(delayed));
        call("compressed", () -> producer.send(new Message(topic, new byte[5000])));
        call("max", () -> producer.maxOffset(queue));
        call("min", () -> producer.minOffset(queue));
        call("earliest", () -> producer.earliestMsgStoreTime(queue));
        call("search", () -> producer.searchOffset(queue, System.currentTimeMillis() - 1000));
        Thread.sleep(1500);
        call("query by key", () -> producer.queryMessage(topic, "extra-key", 32, 0, System.currentTimeMillis() + 1000));
        call("query by absent key", () -> producer.queryMessage(topic, "absent", 32, 0, System.currentTimeMillis() + 1000));
        call("view by offset id", () -> producer.viewMessage(topic, sent.getOffsetMsgId()));
        call("view by unique id", () -> producer.viewMessage(topic, sent.getMsgId()));
        call("create topic", () -> {
            DefaultMQProducer.class.getMethod("createTopic", String.class, String.class, int.class, java.util.Map.class)
                .invoke(producer, "TBW102", topic + "-made", 4, new java.util.HashMap<String, String>());
            return "made";
        });
        pulls(args[0], topic, queue);
        transaction(args[0], topic);
        heartbeatV2(args[0], topic);
        producer.shutdown();
    }

    static void pulls(String namesrv, String topic, MessageQueue queue) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("extra-puller");
        consumer.setNamesrvAddr(namesrv);
        consumer.setRegisterTopics(Set.of(topic));
        consumer.start();
        call("queues", () -> consumer.fetchSubscribeMessageQueues(topic));
        call("pull found", () -> consumer.pull(queue, "*", 0, 32).getPullStatus());
        call("pull by tag, none matches", () -> consumer.pull(queue, "NoSuchTag", 0, 32).getPullStatus());
        call("pull at the end", () -> consumer.pull(queue, "*", consumer.maxOffset(queue), 32).getPullStatus());
        call("pull beyond the end", () -> consumer.pull(queue, "*", 99999, 32).getPullStatus());
        MessageQueue wrong = new MessageQueue(topic, queue.getBrokerName(), 99);
        call("pull of an illegal queue", () -> consumer.pull(wrong, "*", 0, 32).getPullStatus());
        call("stored offset", () -> consumer.fetchConsumeOffset(queue, true));
        consumer.updateConsumeOffset(queue, 1);
        consumer.getOffsetStore().persist(queue);
        call("stored offset", () -> consumer.fetchConsumeOffset(queue, true));
        MessageExt first = consumer.pull(queue, "*", 0, 1).getMsgFoundList().get(0);
        call("send back", () -> {
            consumer.sendMessageBack(first, 3);
            return "done";
        });
        consumer.shutdown();
    }

    /** Two heartbeats of a client with useHeartbeatV2, which 4.9 does not have: the second goes without subscriptions. */
    static void heartbeatV2(String namesrv, String topic) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer("extra-heartbeat");
        try {
            consumer.getClass().getMethod("setUseHeartbeatV2", boolean.class).invoke(consumer, true);
        } catch (NoSuchMethodException e) {
            return;
        }
        consumer.setNamesrvAddr(namesrv);
        consumer.setHeartbeatBrokerInterval(1000);
        consumer.subscribe(topic, "TagA || TagB");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        consumer.start();
        Thread.sleep(4000);
        consumer.shutdown();
    }

    static void transaction(String namesrv, String topic) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer("extra-transactions");
        producer.setNamesrvAddr(namesrv);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object arg) {
                return (LocalTransactionState) arg;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                System.out.println("checked " + message.getMsgId());
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        producer.start();
        for (LocalTransactionState state : LocalTransactionState.values()) {
            call("transaction " + state, () -> producer.sendMessageInTransaction(new Message(topic, "tx".getBytes()), state).getSendStatus());
        }
        Thread.sleep(Long.getLong("check.wait.ms", 0));
        producer.shutdown();
    }
}
