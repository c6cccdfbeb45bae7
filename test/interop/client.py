"""Python's client: client.py PORT VERSION ROOT. Sends a line that it reads, prints what it gets."""
import socket
import ssl
import sys

port, version, root = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, "TLSv" + version.replace(".", "_"))
with socket.create_connection(("127.0.0.1", int(port)), 20) as sock:
    with context.wrap_socket(sock, server_hostname="localhost") as conn:
        conn.sendall(sys.stdin.readline().encode())
        while data := conn.recv(4096):
            print(data.decode(), flush=True)
