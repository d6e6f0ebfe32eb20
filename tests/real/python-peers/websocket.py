"""A WebSocket over HTTP/2 (RFC 8441) by Python's h2, which checks every frame that it gets.

Usage: websocket.py PORT AUTHORITY PATH [TOKEN]. Prints JSON: what the server offers, the answer's head, what the echo
said, how the stream ended. Beside it the same connection asks for /source/3000000: a tunnel holds up nobody.
"""

import json
import os
import socket
import ssl
import struct
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings


class Talk:
    def __init__(self, port, authority):
        context = ssl.create_default_context(cafile=authority)
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname="localhost")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.heads, self.bodies, self.ended = {}, {}, {}
        self.h2.initiate_connection()
        self.flush()
        while not self.settled:
            self.turn()

    settled = False

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def turn(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError
        for event in self.h2.receive_data(piece):
            match event:
                case h2.events.RemoteSettingsChanged():
                    self.settled = True
                case h2.events.ResponseReceived(stream_id=stream, headers=headers):
                    self.heads[stream] = dict(headers)
                case h2.events.DataReceived(stream_id=stream, data=data, flow_controlled_length=length):
                    self.bodies[stream] = self.bodies.get(stream, b"") + data
                    if length:
                        self.h2.acknowledge_received_data(length, stream)
                case h2.events.StreamEnded(stream_id=stream):
                    self.ended[stream] = "ended"
                case h2.events.StreamReset(stream_id=stream, error_code=code):
                    self.ended[stream] = f"reset {int(code)}"
        self.flush()

    def ask(self, fields, end):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields, end_stream=end)
        self.flush()
        return stream

    def until(self, done):
        while not done():
            self.turn()

    def say(self, stream, opcode, payload):
        """One masked frame (RFC 6455 section 5.2)."""
        mask = os.urandom(4)
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else struct.pack("!BH", 0x80 | 126, len(payload))
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        whole = bytes([0x80 | opcode]) + size + mask + masked
        for start in range(0, len(whole), 10_000):
            self.h2.send_data(stream, whole[start:start + 10_000])
        self.flush()

    def hears(self, stream):
        """The payload of the next frame of less than 64 KiB."""
        def whole():
            told = self.bodies.get(stream, b"")
            start, size = (4, int.from_bytes(told[2:4], "big")) if told[1:2] == b"\x7e" else (2, (told[1:2] or b"\0")[0])
            return (told[0] & 15, told[start:start + size], told[start + size:]) if len(told) >= max(2, start + size) else None

        self.until(lambda: whole() or stream in self.ended)
        opcode, payload, self.bodies[stream] = whole() or (0, b"", b"")
        return opcode, payload


def main():
    port, authority, path, *token = sys.argv[1:]
    talk = Talk(int(port), authority)
    told = {"offers": talk.h2.remote_settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL)}
    host = [(":authority", f"localhost:{port}"), (":scheme", "https")]
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":path", path), *host, ("sec-websocket-version", "13"), ("origin", "https://localhost")]
    fields += [("authorization", f"Bearer {it}") for it in token]
    stream = talk.ask(fields, end=False)
    talk.until(lambda: stream in talk.heads)
    told["head"] = talk.heads[stream]
    if told["head"][":status"] != "200":
        return told
    talk.say(stream, 1, b"hello")
    told["text"] = talk.hears(stream)[1].decode()
    other = talk.ask([(":method", "GET"), (":path", "/source/3000000"), *host], end=True)
    talk.until(lambda: other in talk.ended)
    told["beside"] = len(talk.bodies[other])
    talk.say(stream, 2, bytes(20_000))
    told["large"] = talk.hears(stream)[1] == bytes(20_000)
    talk.say(stream, 8, struct.pack("!H", 4001) + b"enough")
    opcode, payload = talk.hears(stream)
    told["close"] = [opcode, struct.unpack("!H", payload[:2])[0]]
    talk.until(lambda: stream in talk.ended)
    told["end"] = talk.ended[stream]
    return told


print(json.dumps(main()))
