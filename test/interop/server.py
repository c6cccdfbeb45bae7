"""Python's server: server.py PORT VERSION CERTIFICATE KEY. Answers any HTTP request, one connection after the other."""
import http.server
import ssl
import sys

port, version, cert, key = sys.argv[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello back\n")


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, "TLSv" + version.replace(".", "_"))
context.load_cert_chain(cert, key)


class Server(http.server.ThreadingHTTPServer):
    def get_request(self):
        sock, address = self.socket.accept()
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request, client_address):
        pass


Server(("127.0.0.1", int(port)), Handler).serve_forever()
