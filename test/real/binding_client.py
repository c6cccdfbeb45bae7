"""Logins bound to their TLS channel, by a client on another TLS library: SCRAM (RFC 5802) over gnutls-cli's streams.

What tls-exporter is (RFC 9266) gnutls-cli prints; tls-server-end-point (RFC 5929) is the hash of the server's certificate.
ONE_PORTS comes from the environment, of which the second port is that of direct TLS, with the certificate of one.test; the
host is localhost, which has more bindings. Prints one "ok - " or "not ok - " line a test. Every wait is bounded by LIMIT
seconds.
"""
import base64
import hashlib
import hmac
import os
import re
import select
import ssl
import subprocess
import sys
import time

LIMIT = 20
PORT = os.environ["ONE_PORTS"].split()[1]
failures = 0


def check(name, good, reason=""):
    global failures
    if good:
        print(f"ok - {name}", flush=True)
    else:
        failures += 1
        print(f"not ok - {name}: {reason}", flush=True)


class Stream:
    """A connection through gnutls-cli, read until a pattern comes."""

    def __init__(self, version):
        self.child = subprocess.Popen(
            ["gnutls-cli", "--x509cafile", f"{os.environ['CERTS']}/rootA.pem", "--verify-hostname", "one.test",
             "--sni-hostname", "one.test", "--priority", f"NORMAL:-VERS-ALL:+VERS-{version}", "--port", PORT,
             "--keymatexport", "EXPORTER-Channel-Binding", "--keymatexportsize", "32", "127.0.0.1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seen = ""
        self.exported = bytes.fromhex(self.until(r"Key material: ([0-9a-f]+)").group(1))
        self.until("Simple Client Mode")

    def until(self, pattern):
        end = time.monotonic() + LIMIT
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                raise TimeoutError(f"no {pattern} in {self.seen[-300:]!r}")
            more = os.read(self.child.stdout.fileno(), 65536)
            if not more:
                raise EOFError(f"no {pattern} in {self.seen[-300:]!r}")
            self.seen += more.decode()

    def send(self, text):
        self.child.stdin.write(text.encode() + b"\n")
        self.child.stdin.flush()

    def close(self):
        self.child.terminate()
        self.child.wait(LIMIT)


def b64(data):
    return base64.b64encode(data).decode()


def mac(key, text):
    return hmac.new(key, text, "sha1").digest()


def sasl(name, text):
    return f"<{name} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{b64(text.encode())}</{name}>"


def scram(stream, kind, binding):
    """Logs romeo@localhost in. Returns None, or the server's failure."""
    stream.send("<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
                "xmlns:stream='http://etherx.jabber.org/streams'>")
    stream.until("</stream:features>")
    header = f"p={kind},,"
    first = "n=romeo,r=" + b64(os.urandom(18))
    stream.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1-PLUS'>"
                f"{b64((header + first).encode())}</auth>")
    answer = stream.until(r"<(challenge|failure)[^>]*>(.*?)</\1>")
    if answer.group(1) == "failure":
        return answer.group(2)
    challenge = base64.b64decode(answer.group(2)).decode()
    nonce, salt, count = re.match(r"r=([^,]*),s=([^,]*),i=(\d+)$", challenge).groups()
    salted = hashlib.pbkdf2_hmac("sha1", b"secret", base64.b64decode(salt), int(count))
    key = mac(salted, b"Client Key")
    final = f"c={b64(header.encode() + binding)},r={nonce}"
    whole = ",".join((first, challenge, final)).encode()
    signature = mac(hashlib.sha1(key).digest(), whole)
    proof = bytes(a ^ b for a, b in zip(key, signature))
    stream.send(sasl("response", f"{final},p={b64(proof)}"))
    answer = stream.until(r"<(success|failure)[^>]*>(.*?)</\1>")
    if answer.group(1) == "failure":
        return answer.group(2)
    expected = "v=" + b64(mac(mac(salted, b"Server Key"), whole))
    return None if base64.b64decode(answer.group(2)).decode() == expected else "the server does not know the password"


def endpoint():
    with open(f"{os.environ['TMP']}/one.test.pem", encoding="ascii") as pem:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.read())).digest()


def login(version, kind, change=b""):
    stream = Stream(version)
    try:
        return scram(stream, kind, (stream.exported if kind == "tls-exporter" else endpoint()) + change)
    except (TimeoutError, EOFError) as error:
        return str(error)
    finally:
        stream.close()


for tls, binding_type in (("TLS1.3", "tls-exporter"), ("TLS1.3", "tls-server-end-point"),
                          ("TLS1.2", "tls-server-end-point")):
    why = login(tls, binding_type)
    check(f"{tls} login bound by {binding_type}", why is None, why)
    why = login(tls, binding_type, b"x")
    check(f"{tls}: another value of {binding_type} is refused", why and "Invalid channel binding value" in why, why)
why = login("TLS1.3", "tls-unique")
check("TLS1.3 has no tls-unique", why and "binding type isn" in why, why)
sys.exit(1 if failures else 0)
