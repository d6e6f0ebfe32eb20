"""Speaks raw HTTP/2 frames: each case over a connection of its own, and what became of it.

Reads JSON: {"port", "authority", "cases": {name: [step, ...]}}. A step is one of
  ["headers", stream, [[name, value], ...], flags]   flags: e END_STREAM, h END_HEADERS
  ["data", stream, text, flags]                      flags: e END_STREAM
  ["raw", type, flags, stream, hex]                  any frame
  ["bytes", hex]                                     no frame at all
  ["bare"]                                           as the first: the preface is left out
  ["times", count, step]
Texts are Latin-1. Prints JSON: {name: outcome}: "200", "400 host-invalid", "reset 1", "goaway 1", "closed", "silent".
"""

import json
import socket
import ssl
import struct
import sys

import hpack

DATA, HEADERS, RST_STREAM, GOAWAY, PING, SETTINGS = 0, 1, 3, 7, 6, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FLAGS = {"e": 1, "h": 4}


def frame(kind, flags, stream, payload):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def text(it):
    return it.encode("latin-1")


def block(fields):
    """HPACK by hand, so that nothing is checked: literal fields without indexing (RFC 7541 section 6.2.2)."""

    def string(value):
        length = len(value)
        if length < 127:
            return bytes([length]) + value
        head, rest = bytearray([127]), length - 127
        while rest >= 128:
            head.append(rest % 128 + 128)
            rest //= 128
        return bytes(head + bytearray([rest])) + value

    return b"".join(b"\0" + string(text(name)) + string(text(value)) for name, value in fields)


def bytes_of(step):
    match step:
        case ["headers", stream, fields, flags]:
            return frame(HEADERS, sum(FLAGS[flag] for flag in flags), stream, block(fields))
        case ["data", stream, it, flags]:
            return frame(DATA, sum(FLAGS[flag] for flag in flags), stream, text(it))
        case ["raw", kind, flags, stream, payload]:
            return frame(kind, flags, stream, bytes.fromhex(payload))
        case ["bytes", payload]:
            return bytes.fromhex(payload)
        case ["times", count, inner]:
            return bytes_of(inner) * count
        case ["bare"]:
            return b""


def take(connection, count):
    got = b""
    while len(got) < count:
        piece = connection.recv(count - len(got))
        if not piece:
            raise EOFError
        got += piece
    return got


def outcome(connection):
    """What the server says first about the request or the connection."""
    decoder, status, body = hpack.Decoder(), None, {}
    try:
        while True:
            head = take(connection, 9)
            kind, flags, stream = head[3], head[4], struct.unpack("!I", head[5:])[0]
            payload = take(connection, struct.unpack("!I", b"\0" + head[:3])[0])
            if kind == GOAWAY:
                return f"goaway {struct.unpack('!I', payload[4:8])[0]}"
            if kind == RST_STREAM:
                return f"reset {struct.unpack('!I', payload)[0]}"
            if kind == HEADERS:
                fields = dict(decoder.decode(payload))
                status = fields.get(":status", status)
            if kind == DATA:
                body[stream] = body.get(stream, b"") + payload
            if kind in (HEADERS, DATA) and flags & 1 and status:
                problem = body.get(stream, b"")
                return f"{status} {json.loads(problem)['reason']}" if b'"reason"' in problem else status
    except (EOFError, ConnectionError, ssl.SSLError):
        return "closed"
    except TimeoutError:
        return "silent"


def become_of(case, asked, context):
    with socket.create_connection(("127.0.0.1", asked["port"]), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            assert connection.selected_alpn_protocol() == "h2"
            hello = b"" if case[0] == ["bare"] else PREFACE + frame(SETTINGS, 0, 0, b"")
            try:
                connection.sendall(hello + b"".join(map(bytes_of, case)))
            except (ConnectionError, ssl.SSLError):
                pass
            return outcome(connection)


def main():
    asked = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=asked["authority"])
    context.set_alpn_protocols(["h2"])
    print(json.dumps({name: become_of(case, asked, context) for name, case in asked["cases"].items()}))


main()
