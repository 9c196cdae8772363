"""Doubles of Azure, Google and Doppler behind their real host names, of a GitLab, a Quay, and a 1Password Connect server.

`main.py FOLDER PROXY_PORT PLAIN_PORT` listens on three loopback ports: a CONNECT proxy that leads the clouds' host names
to a TLS server and refuses every other host; that server, with certificates of an authority made at the start
(`FOLDER/ca.pem`); and a plain one with the metadata services of a machine and the switches of a test (`/control/…`).
"""

import base64
import datetime
import io
import json
import re
import socket
import ssl
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import connect
import doppler
import gcp
import git_lab
import key_vault
import quay
import registry
import spoil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAMES = [
    "*.azurecr.io",
    "*.azurecr.us",
    "*.vault.azure.net",
    "*.vault.usgovcloudapi.net",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "*.googleapis.com",
    "*.europe-west1.rep.googleapis.com",
    "secretmanager.europe-west1.rep.googleapis.com",
    "api.doppler.com",
    "connect.example",
    "gitlab.example",
    "localhost",
    "quay.example",
]
HOSTS = re.compile("|".join(re.escape(name).replace(r"\*", r"[a-z0-9.-]+") for name in NAMES))


def certificates(folder):
    """An authority, and a server with all names."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def made(subject, issuer, key, signer, extensions):
        builder = x509.CertificateBuilder(
            issuer_name=issuer,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - day,
            not_valid_after=now + 30 * day,
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer, hashes.SHA256())

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    authority = made(
        name("doubles"),
        name("doubles"),
        authority_key,
        authority_key,
        [(x509.BasicConstraints(True, 0), True), (identifier, False), (usage, True)],
    )
    server = made(
        name("server"),
        name("doubles"),
        key,
        authority_key,
        [
            (x509.SubjectAlternativeName([x509.DNSName(one) for one in NAMES]), False),
            (x509.BasicConstraints(False, None), True),
            (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
            (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False),
        ],
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + server.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.set_alpn_protocols(["http/1.1"])
    return context


class Switches:
    """What a test has switched, and what it may ask about."""

    def __init__(self):
        self.lock = threading.RLock()
        self.reset()

    def reset(self):
        with self.lock:
            self.denied = set()
            self.throttled = 0
            self.retry_after = None
            self.failing = 0
            self.spoiler = spoil.Spoiler()
            # Hosts that are led to a port of the test instead of a double.
            self.led = {}
            self.calls = []

    def refuses(self, permission):
        with self.lock:
            return permission in self.denied

    def next_fault(self):
        """429 or 503 if the next call is to get that."""
        with self.lock:
            if self.throttled > 0:
                self.throttled -= 1
                return 429
            if self.failing > 0:
                self.failing -= 1
                return 503
        return None


class Request:
    def __init__(self, method, host, target, headers, body):
        self.method, self.host, self.headers, self.body = method, host, headers, body
        parts = urllib.parse.urlsplit(target)
        self.path = urllib.parse.unquote(parts.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))

    def json(self):
        return json.loads(self.body or b"{}")

    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))

    def bearer(self):
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if kind == "Bearer" else None

    def basic(self):
        """The user of a request that names one."""
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            return base64.b64decode(token).decode().partition(":")[0] if kind == "Basic" else None
        except ValueError:
            return None


class Answer(Exception):
    """An answer, also raised to end a request early."""

    def __init__(self, status, body, headers=()):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, dict(headers)


switches = Switches()
google = gcp.Google(switches, Answer)
azure = key_vault.Azure(switches, Answer)
registries = registry.Registry(azure, Answer)
gitlab = git_lab.Gitlab(switches, Answer)
quay_server = quay.Quay(switches, Answer)
doppler_api = doppler.Doppler(switches, Answer)
# Its identities trust whom Azure's trust: the issuer of tokens of service accounts.
doppler_api.authority = azure.outside_key
connect_server = connect.Connect(switches, Answer)


def serve(request):
    """The service that a host name stands for."""
    with switches.lock:
        switches.calls.append(f"{request.method} {request.host}{request.path}")
    host = request.host
    if host.endswith("googleapis.com"):
        return google.serve(request)
    if host.endswith(registry.HOSTS):
        return registries.serve(request)
    if host == "gitlab.example":
        return gitlab.serve(request)
    if host == "quay.example":
        return quay_server.serve(request)
    if host == "api.doppler.com":
        return doppler_api.serve(request)
    if host == "connect.example":
        return connect_server.serve(request)
    return azure.serve(request)


def control(request):
    """The switches of a test, and the metadata services of a machine."""
    path = request.path
    if path == "/control/ready":
        return Answer(200, {})
    if path == "/control/reset":
        switches.reset()
        google.reset()
        azure.reset()
        gitlab.reset()
        quay_server.reset()
        doppler_api.reset()
        connect_server.reset()
        return Answer(200, {})
    if path == "/control/deny":
        with switches.lock:
            switches.denied = set(request.json())
        return Answer(200, {})
    if path == "/control/fault":
        wanted = request.json()
        with switches.lock:
            switches.throttled = wanted.get("throttled", 0)
            switches.retry_after = wanted.get("retry_after")
            switches.failing = wanted.get("failing", 0)
        return Answer(200, {})
    if path == "/control/lead":
        wanted = request.json()
        with switches.lock:
            switches.led[wanted["host"]] = wanted["port"]
        return Answer(200, {})
    if path == "/control/spoil":
        switches.spoiler.next = list(request.json())
        return Answer(200, {})
    if path == "/control/calls":
        with switches.lock:
            return Answer(200, switches.calls)
    if path == "/control/forget-calls":
        with switches.lock:
            switches.calls = []
        return Answer(200, {})
    if path.startswith("/control/google/"):
        return Answer(200, google.control(path.removeprefix("/control/google/"), request.json()))
    if path.startswith("/control/azure/"):
        return Answer(200, azure.control(path.removeprefix("/control/azure/"), request.json()))
    doubles = {"doppler": doppler_api, "connect": connect_server, "registry": registries, "quay": quay_server}
    for name, double in doubles.items():
        if path.startswith(f"/control/{name}/"):
            return Answer(200, double.control(path.removeprefix(f"/control/{name}/"), request.json()))
    if path.startswith("/control/gitlab/"):
        return Answer(200, gitlab.control(path.removeprefix("/control/gitlab/"), request.json()))
    if path == "/outside/token":
        # What another cloud gives to its own workloads.
        return Answer(200, {"value": google.control("outside-token", {"aud": request.query["audience"]})["token"]})
    if path.startswith("/computeMetadata/") or path == "/":
        return google.metadata(request)
    if path in ("/metadata/identity/oauth2/token", "/msi/token"):
        return azure.managed_identity(request)
    return Answer(404, {})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    spoiled = True
    answer_with = staticmethod(serve)

    def setup(self):
        # The handshake in the thread of the connection: one that is slow holds up no other.
        context = getattr(self.server, "context", None)
        if context is not None:
            self.request.settimeout(120)
            self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self):
        try:
            super().handle()
        except (OSError, ValueError):
            pass

    def go(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        host = (self.headers.get("Host") or "").split(":")[0].lower()
        request = Request(self.command, host, self.path, self.headers, body)
        try:
            answer = self.answer_with(request)
        except Answer as early:
            answer = early
        except Exception as error:  # a bug of the double is told as one
            answer = Answer(599, {"double": repr(error)})
            import traceback

            traceback.print_exc()
        self.reply(answer)

    def reply(self, answer):
        fault = switches.spoiler.take() if self.spoiled else "None"
        if fault != "None":
            real, self.wfile = self.wfile, io.BytesIO()
            self.write(answer)
            whole, self.wfile = self.wfile.getvalue(), real
            return spoil.send(self, fault, whole)
        return self.write(answer)

    def write(self, answer):
        body = answer.body
        kind = "application/json; charset=utf-8"
        if isinstance(body, str):
            body, kind = body.encode(), "text/plain"
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(answer.status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = go

    def log_message(self, *_):
        pass


class Plain(Handler):
    spoiled = False
    answer_with = staticmethod(control)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tls_port = 0
    context = None

    def do_CONNECT(self):
        host, _, port = self.path.rpartition(":")
        if port != "443" or not HOSTS.fullmatch(host.lower()):
            return self.send_error(403)
        led = switches.led.get(host.lower())
        if led is not None:
            return self.lead(led)
        with socket.create_connection(("127.0.0.1", self.tls_port)) as server:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            back = threading.Thread(target=pump, args=(server, self.connection), daemon=True)
            back.start()
            pump(self.connection, server)
            back.join()
        self.close_connection = True
        return None

    def lead(self, port):
        """Takes one request out of TLS, and brings back whatever the test answers to it, byte for byte."""
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        try:
            self.connection.settimeout(120)
            client = self.context.wrap_socket(self.connection, server_side=True)
            asked = b""
            while True:
                head, found, body = asked.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                if found and len(body) >= (int(length[1]) if length else 0):
                    break
                data = client.recv(65536)
                if not data:
                    return
                asked += data
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.sendall(asked)
                pump(peer, client)
            client.close()
        except OSError:
            pass

    def refuse(self):
        self.send_error(403)

    do_GET = do_POST = do_PUT = do_DELETE = refuse

    def log_message(self, *_):
        pass


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    try:
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def main():
    folder, proxy_port, plain_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    tls = Server(("127.0.0.1", 0), Handler)
    tls.context = certificates(folder)
    Proxy.tls_port = tls.server_address[1]
    Proxy.context = tls.context
    servers = [tls, Server(("127.0.0.1", proxy_port), Proxy), Server(("127.0.0.1", plain_port), Plain)]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
