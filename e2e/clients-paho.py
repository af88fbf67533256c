"""What clients-paho.test.ts has the Paho client do: one line of output a message.

Arguments: transport (tcp, websockets), port, protocol version (4, 5). For paho-mqtt 1.6 and 2.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TRANSPORT, PORT, VERSION = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
PREFIX = f"paho/{TRANSPORT}/{VERSION}"
PATIENCE = 10


class Client:
    def __init__(self, client_id="", durable=False, will=None):
        self.messages = queue.Queue()
        self.connacks = queue.Queue()
        self.subacks = queue.Queue()
        # Paho 2 wants to be told which form its callbacks have.
        form = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
        sessions = {} if VERSION == 5 else {"clean_session": not durable}
        self.paho = mqtt.Client(
            *form, client_id=client_id, protocol=VERSION, transport=TRANSPORT, **sessions
        )
        if TRANSPORT == "websockets":
            self.paho.ws_set_options(path="/mqtt")
        if will is not None:
            self.paho.will_set(will, "gone", qos=1)
        self.paho.on_connect = lambda _client, _data, flags, *_: self.connacks.put(flags)
        self.paho.on_subscribe = lambda *_: self.subacks.put(True)
        self.paho.on_message = lambda _client, _data, message: self.messages.put(message)
        options = {}
        if VERSION == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600 if durable else 0
            options = {"clean_start": not durable, "properties": properties}
        self.paho.connect("127.0.0.1", PORT, 30, **options)
        self.paho.loop_start()
        self.flags = self.connacks.get(timeout=PATIENCE)

    def subscribe(self, topic, qos):
        self.paho.subscribe(topic, qos)
        self.subacks.get(timeout=PATIENCE)

    def publish(self, topic, payload, qos, retain=False):
        self.paho.publish(topic, payload, qos, retain).wait_for_publish(PATIENCE)

    def received(self, count):
        return [self.messages.get(timeout=PATIENCE) for _ in range(count)]

    def leave(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def break_off(self):
        self.paho.loop_stop()
        self.paho.socket().close()


def show(what, messages):
    for message in messages:
        retained = int(message.retain)
        print(what, message.topic, message.qos, retained, message.payload.decode(), flush=True)


publisher = Client()

live = Client()
live.subscribe(f"{PREFIX}/qos/#", 2)
for qos in range(3):
    publisher.publish(f"{PREFIX}/qos/{qos}", f"m{qos}", qos)
show("live", live.received(3))
live.leave()

publisher.publish(f"{PREFIX}/kept", "kept", 1, retain=True)
late = Client()
late.subscribe(f"{PREFIX}/kept", 1)
show("retained", late.received(1))
late.subscribe(f"{PREFIX}/will", 1)
Client(will=f"{PREFIX}/will").break_off()
show("will", late.received(1))
late.leave()

away = Client(client_id=f"paho-away-{TRANSPORT}-{VERSION}", durable=True)
away.subscribe(f"{PREFIX}/away", 2)
away.leave()
for number in range(50):
    publisher.publish(f"{PREFIX}/away", str(number), number % 2 + 1)
away = Client(client_id=f"paho-away-{TRANSPORT}-{VERSION}", durable=True)
print("session present", away.flags["session present"], flush=True)
# Paho hands out a QoS 2 message at its PUBREL: order holds within each QoS.
show("queued", sorted(away.received(50), key=lambda message: message.qos))
away.leave()
publisher.leave()
