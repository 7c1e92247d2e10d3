"""main.py SCENARIO --flag value ...: scenarios and flags of the Java programs, on the official client for Python.

Exit 0 when what was expected was met, 1 when not, 2 for wrong usage. Standard output carries JSON lines only. The library tells
neither the broker nor, of a send, the queue: `broker` is missing here, and `queueId` in `ack` lines.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time

# Where the C++ library writes its logs and the offsets of broadcasting consumers; it looks when it is loaded.
os.environ["HOME"] = os.path.join(tempfile.gettempdir(), "gantry-e2e-logs", str(os.getpid()))
os.makedirs(os.environ["HOME"], exist_ok=True)

from rocketmq.client import Message, Producer, PullConsumer, PushConsumer  # noqa: E402
from rocketmq.ffi import MessageModel  # noqa: E402

# Set by SIGTERM or SIGINT; scenarios then end in their own time and print their summary.
stopping = threading.Event()
output = threading.Lock()


def report(event, **values):
    with output:
        sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
        sys.stdout.flush()


def produce(flags):
    """Sends --count messages in one --mode and counts the acknowledgements."""
    sender = Sender(flags)
    sender.client.start()
    modes = {"sync": sender.sync, "async": sender.asynchronous, "oneway": sender.oneway, "by-key": sender.by_key}
    modes[flags.mode]()
    if flags.mode == "oneway":
        # The client hands one-way frames to the socket in the background.
        time.sleep(1)
    sender.client.shutdown()
    report("summary", scenario="produce", mode=flags.mode, id=flags.id, sent=flags.count, acked=sender.acked,
           failed=sender.failed, errors=sender.errors)
    return sender.failed == 0 and (flags.mode == "oneway" or sender.acked == flags.count)


class Sender:
    def __init__(self, flags):
        self.flags = flags
        self.client = Producer("e2e-producer", timeout=flags.timeout_ms)
        self.client.set_namesrv_addr(flags.namesrv)
        self.tags = flags.tags.split(",") if flags.tags else []
        self.keys = flags.keys or (7 if flags.mode == "by-key" else 0)
        self.acked = 0
        self.failed = 0
        self.errors = {}
        self.done = threading.Condition()

    def sync(self):
        self.one_by_one(lambda seq: self.client.send_sync(self.message(seq)))

    def by_key(self):
        self.one_by_one(lambda seq: self.client.send_orderly(self.message(seq), seq % self.keys))

    def oneway(self):
        for seq in range(self.flags.count):
            self.client.send_oneway(self.message(seq))

    def one_by_one(self, send):
        for seq in range(self.flags.count):
            try:
                self.acknowledged(seq, send(seq))
            except Exception as error:  # The library has no class of its own that all of its errors are of.
                self.fail(error)

    def asynchronous(self):
        for seq in range(self.flags.count):
            self.send_async(seq)
        with self.done:
            self.done.wait_for(lambda: self.acked + self.failed == self.flags.count, 60)

    def send_async(self, seq):
        # The library keeps no reference to the message, which must outlive the send.
        message = self.message(seq)
        self.client.send_async(message, lambda result: self.acknowledged(seq, result, message),
                               lambda error: self.fail(error, message))

    def message(self, seq):
        key = f"k{seq % self.keys}" if self.keys else "-"
        message = Message(self.flags.topic)
        message.set_keys(f"{self.flags.id}-{seq}" if key == "-" else key)
        if self.tags:
            message.set_tags(self.tags[seq % len(self.tags)])
        message.set_body(f"{self.flags.id} {key} {seq} ".ljust(self.flags.size, "x"))
        return message

    def acknowledged(self, seq, result, _message=None):
        with self.done:
            self.acked += 1
            if self.flags.verbose:
                report("ack", id=self.flags.id, seq=seq, msgId=result.msg_id, queueOffset=result.offset,
                       status=result.status.name)
            self.done.notify_all()

    def fail(self, error, _message=None):
        with self.done:
            self.failed += 1
            self.errors[str(error)] = self.errors.get(str(error), 0) + 1
            self.done.notify_all()


class Received:
    """Prints and counts what a consumer was given."""

    def __init__(self, flags):
        self.flags = flags
        self.seen = set()
        self.total = 0
        self.last_at = time.monotonic()
        self.lock = threading.Lock()

    def add(self, message):
        body = message.body.decode()
        sent, key, seq = (body.split(" ", 3) + ["", "", "-1"])[:3]
        with self.lock:
            report("message", consumer=self.flags.instance, msgId=message.id, queueId=message.queue_id,
                   queueOffset=message.queue_offset, id=sent, key="" if key == "-" else key, seq=int(seq),
                   bodySize=len(body), tags=(message.tags or b"").decode(), reconsumeTimes=message.reconsume_times)
            self.total += 1
            self.seen.add((sent, seq))
            self.last_at = time.monotonic()

    def is_enough(self):
        """--expect messages are there, and --linger-ms have passed without another one."""
        with self.lock:
            quiet = time.monotonic() - self.last_at > self.flags.linger_ms / 1000
            return self.flags.expect is not None and len(self.seen) >= self.flags.expect and quiet

    def wait(self):
        end = time.monotonic() + self.flags.run_ms / 1000
        while time.monotonic() < end and not self.is_enough() and not stopping.wait(0.02):
            pass

    def report(self, scenario):
        report("summary", scenario=scenario, received=self.total, distinct=len(self.seen))
        return self.flags.expect is None or len(self.seen) == self.flags.expect


def push_consume(flags):
    """One push consumer; --fail-first N makes the first delivery of N messages fail."""
    received = Received(flags)
    model = MessageModel.BROADCASTING if flags.model == "broadcasting" else MessageModel.CLUSTERING
    client = PushConsumer(flags.group, orderly=flags.listener == "orderly", message_model=model)
    client.set_namesrv_addr(flags.namesrv)
    client.set_instance_name(f"{flags.instance}-{os.getpid()}")
    failed = set()

    def listen(message):
        if len(failed) < flags.fail_first and message.reconsume_times == 0:
            failed.add(message.id)
            report("failed", msgId=message.id)
            raise RuntimeError("--fail-first")
        received.add(message)

    client.subscribe(flags.topic, listen, flags.expression)
    client.start()
    report("started", consumer=flags.instance)
    received.wait()
    client.shutdown()
    return received.report("push-consume")


def lite_pull(flags):
    """Pulls all queues from their beginning, which is all that the library's pull consumer does."""
    received = Received(flags)
    client = PullConsumer(flags.group)
    client.set_namesrv_addr(flags.namesrv)
    client.start()
    for message in client.pull(flags.topic, flags.expression):
        received.add(message)
    client.shutdown()
    return received.report("lite-pull")


def parse(args):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    scenarios = parser.add_subparsers(required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--namesrv", default=os.environ.get("NAMESRV_ADDR") or "127.0.0.1:9876")
    common.add_argument("--topic", required=True)
    common.add_argument("--timeout-ms", type=int, default=3000)

    sending = scenarios.add_parser("produce", parents=[common], allow_abbrev=False)
    sending.set_defaults(run=produce)
    sending.add_argument("--mode", choices=["sync", "async", "oneway", "by-key"], default="sync")
    sending.add_argument("--count", type=int, default=100)
    sending.add_argument("--id", default=f"m{time.time_ns():x}")
    sending.add_argument("--tags", default="")
    sending.add_argument("--keys", type=int, default=0)
    sending.add_argument("--size", type=int, default=0)
    sending.add_argument("--verbose", action="store_true")

    for name, run in (("push-consume", push_consume), ("lite-pull", lite_pull)):
        receiving = scenarios.add_parser(name, parents=[common], allow_abbrev=False)
        receiving.set_defaults(run=run)
        receiving.add_argument("--group", required=True)
        receiving.add_argument("--instance", default="c1")
        receiving.add_argument("--expression", default="*")
        receiving.add_argument("--expect", type=int)
        if run is lite_pull:
            # What this scenario does in any case, with all messages that there are.
            receiving.add_argument("--assign", action="store_true")
            receiving.add_argument("--seek", choices=["begin"])
            continue
        receiving.add_argument("--model", choices=["clustering", "broadcasting"], default="clustering")
        receiving.add_argument("--listener", choices=["concurrently", "orderly"], default="concurrently")
        receiving.add_argument("--fail-first", type=int, default=0)
        receiving.add_argument("--run-ms", type=int, default=60_000)
        receiving.add_argument("--linger-ms", type=int, default=1000)
    return parser.parse_args(args)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    chosen = parse(sys.argv[1:])
    sys.exit(0 if chosen.run(chosen) else 1)
