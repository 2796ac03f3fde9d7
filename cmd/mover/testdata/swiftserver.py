"""A Swift of one process: a proxy that knows one user, and one account, container
and object server behind it, each with one device. It prints where the proxy listens.

    swiftserver.py FOLDER ACCOUNT:USER PASSWORD
"""
import os
import sys

import eventlet
import eventlet.wsgi

eventlet.monkey_patch()

from swift.common import utils  # noqa: E402, the sockets have to be eventlet's before

SERVER = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
[app:main]
use = egg:swift#{name}
"""
PROXY = """
[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = cache tempauth proxy
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
paste.filter_factory = __main__:remembering
[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {password} {groups}
user_{account}_guest = {password}
[app:proxy]
use = egg:swift#proxy
account_autocreate = true
"""


class Memory:
    """What a memcached would hold: the tokens that were given."""

    def __init__(self):
        self.held = {}

    def get(self, key, **_):
        return self.held.get(key)

    def set(self, key, value, **_):
        self.held[key] = value

    def delete(self, key, **_):
        self.held.pop(key, None)


def remembering(_, **__):
    memory = Memory()

    def factory(app):
        def call(env, start_response):
            env["swift.cache"] = memory
            return app(env, start_response)

        return call

    return factory


def write(name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def serve(name, text):
    """Serves what a configuration says, and is the port."""
    app = wsgi.loadapp(write(name + ".conf", text))
    listener = eventlet.listen(("127.0.0.1", 0))
    log = open(os.path.join(folder, name + ".log"), "w")
    eventlet.spawn(eventlet.wsgi.server, listener, app, log)
    return listener.getsockname()[1]


def ring(name, port):
    """Puts all that there is of a kind onto the one device."""
    builder = RingBuilder(part_power=1, replicas=1, min_part_hours=1)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1})
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, name + ".ring.gz"))


folder, user, password = sys.argv[1:]
account, name = user.split(":")
os.makedirs(os.path.join(folder, "devices", "disk"))
utils.SWIFT_CONF_FILE = write("swift.conf", "[swift-hash]\nswift_hash_path_suffix = test\n")

from swift.common import wsgi  # noqa: E402, it reads swift.conf
from swift.common.ring import RingBuilder  # noqa: E402

for name_of in ["account", "container", "object"]:
    ring(name_of, serve(name_of, SERVER.format(folder=folder, name=name_of)))
port = serve("proxy", PROXY.format(folder=folder, account=account, user=account + "_" + name, password=password, groups=".admin"))
print("swift listens at 127.0.0.1:%d" % port, flush=True)
while True:
    eventlet.sleep(3600)
