"""The XMPP clients of the real-use tests: slixmpp against the three servers that prosody.sh has started.

Ports come from the environment (ONE_PORTS and so on: client, client with direct TLS, server to server, HTTPS). Prints one
"ok - " or "not ok - " line a test. Every wait is bounded by LIMIT seconds.
"""
import asyncio
import os
import ssl
import sys

import slixmpp

LIMIT = 20
CERTS = os.environ["CERTS"]
PORTS = {name: [int(p) for p in os.environ[name.upper() + "_PORTS"].split()] for name in ("one", "two", "three")}
failures = 0


def check(name, good, reason=""):
    global failures
    if good:
        print(f"ok - {name}", flush=True)
    else:
        failures += 1
        print(f"not ok - {name}: {reason}", flush=True)


class Client(slixmpp.ClientXMPP):
    """One user's connection. Joins with start(); keeps every message it gets, errors too."""

    def __init__(self, jid, ca="rootA", direct=False, tls12=False, mechanism="SCRAM-SHA-1"):
        super().__init__(jid, "secret", sasl_mech=mechanism)
        self.direct = direct
        self.ca_certs = f"{CERTS}/{ca}.pem"
        if tls12:
            self.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.ended = asyncio.get_event_loop().create_future()
        self.messages = asyncio.Queue()
        self.version = self.sasl = None
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler("message", self.messages.put_nowait)
        self.add_event_handler("message_error", self.messages.put_nowait)
        for name in ("connection_failed", "ssl_invalid_chain", "failed_auth", "disconnected"):
            self.add_event_handler(name, lambda why, name=name: self.end(f"{name}: {why}"))

    async def _pick_dns_answer(self, *_args, **_kwargs):
        """The address is given: nothing is looked up."""
        return None

    def end(self, result):
        if not self.ended.done():
            self.ended.set_result(result)

    async def on_session(self, _event):
        self.version = self.socket.version()
        self.sasl = self["feature_mechanisms"].mech.name
        self.send_presence()
        self.end(None)

    async def start(self):
        """Connects and logs in. Returns None, or a sentence that says why it failed."""
        domain = self.boundjid.host.split(".")[0]
        port = PORTS[domain][1 if self.direct else 0]
        self.connect(("127.0.0.1", port), use_ssl=self.direct, force_starttls=not self.direct,
                     disable_starttls=self.direct)
        try:
            return await asyncio.wait_for(asyncio.shield(self.ended), LIMIT)
        except asyncio.TimeoutError:
            return "no session in time"

    async def next_message(self, limit=LIMIT):
        try:
            return await asyncio.wait_for(self.messages.get(), limit)
        except asyncio.TimeoutError:
            return None

    def stop(self):
        self.cancel_connection_attempt()
        self.abort()


async def login(name, version, mechanism="SCRAM-SHA-1", **kwargs):
    client = Client("romeo@one.test/login", mechanism=mechanism, **kwargs)
    error = await client.start()
    check(name, error is None, error)
    check(f"{name}: {version}", client.version == version, client.version)
    check(f"{name}: {mechanism}", client.sasl == mechanism, client.sasl)
    client.stop()


async def refused(name, **kwargs):
    client = Client("romeo@one.test/refused", ca="rootB", **kwargs)
    error = await client.start()
    check(name, error and "certificate verify failed" in error.lower(), error)
    client.stop()


async def logins():
    await login("STARTTLS login", "TLSv1.3")
    await login("direct TLS login", "TLSv1.3", direct=True)
    await login("login bound to its TLS channel", "TLSv1.2", tls12=True, mechanism="SCRAM-SHA-1-PLUS")
    await refused("STARTTLS: a client with another CA refuses")
    await refused("direct TLS: a client with another CA refuses", direct=True)


async def arrives(name, sender, receiver, body):
    sender.send_message(mto=receiver.boundjid.bare, mbody=body, mtype="chat")
    got = await receiver.next_message()
    check(name, got is not None and got["type"] == "chat" and got["body"] == body, got)


async def bounces(name, sender, receiver):
    """The message comes back as an error and never reaches the other user."""
    sender.send_message(mto=receiver.boundjid.bare, mbody="must not arrive", mtype="chat")
    got = await sender.next_message()
    check(name, got is not None and got["type"] == "error", got)
    check(f"{name}, nothing arrives", receiver.messages.empty(), "a message arrived")


async def messages():
    romeo = Client("romeo@one.test/orchard", direct=True)
    benvolio = Client("benvolio@one.test/street")
    juliet = Client("juliet@two.test/balcony")
    tybalt = Client("tybalt@three.test/street", ca="rootB")
    users = [romeo, benvolio, juliet, tybalt]
    for user in users:
        error = await user.start()
        check(f"{user.boundjid.bare} is here", error is None, error)
    await arrives("a message between users of one server", romeo, benvolio, "good morrow, cousin")
    await arrives("a message from one.test to two.test", romeo, juliet, "wherefore \u00e9 " + "x" * 20000)
    await arrives("and back", juliet, romeo, "good night")
    await bounces("one.test refuses to send to three.test", romeo, tybalt)
    await bounces("one.test refuses to receive from three.test", tybalt, romeo)
    for user in users:
        user.stop()


async def main():
    await logins()
    await messages()


asyncio.get_event_loop().run_until_complete(main())
sys.exit(1 if failures else 0)
