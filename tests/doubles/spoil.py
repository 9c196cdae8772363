"""What networks and middlemen do to answers: the faults of the proxy for plain HTTP, for servers behind TLS."""

import re
import time

PAGE = b"<html><body><h1>Something is wrong</h1></body></html>"
OTHER = b'{"message": "not what was asked for", "code": 5}'


class Spoiler:
    def __init__(self):
        self.next = []

    def take(self):
        return self.next.pop(0) if self.next else "None"


def made(status, kind, body):
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def send(handler, fault, answer):
    """Sends what becomes of an answer, which is given as its bytes; the connection is not used again."""
    name, number = re.fullmatch(r"(\w+)(?:\((\d+)\))?", fault).groups()
    status, out = int(number or 200), handler.wfile
    at = answer.index(b"\r\n\r\n") + 4
    handler.close_connection = True
    if name == "Late":
        time.sleep(0.03)
        out.write(answer)
    elif name == "Cut":
        out.write(answer[: at + (len(answer) - at) // 2])
    elif name == "HalfOpen":
        handler.connection.settimeout(30)
        while handler.rfile.read(1):
            pass
    elif name == "Page":
        out.write(made(status, "text/html", PAGE))
    elif name == "ShortBody":
        out.write(made(200, "application/json", answer[at : at + (len(answer) - at) // 2]))
    elif name == "OtherJson":
        out.write(made(status, "application/json", OTHER))
    elif name == "Throttled":
        out.write(b"HTTP/1.1 429 x\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    elif name == "Failed":
        out.write(made(500, "application/json", b'{"errors": ["internal error"]}'))
    elif name == "Noise":
        out.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    elif name == "Empty":
        out.write(made(status, "text/plain", b""))
    elif name == "Endless":
        out.write(b"HTTP/1.1 200 x\r\nContent-Type: application/json\r\n\r\n[")
        while True:
            out.write(b"1" * 65536)
    # `Closed` sends nothing.
