"""The service behind uploads: it reads each body to its end, keeps nothing of it, and answers 130 bytes."""

import socket
import threading

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 130\r\n\r\n" + b"." * 130


class Sink:
    """Listens on a free port. `sizes` are the lengths of the bodies that came."""

    def __init__(self):
        self.sizes = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        space, kept = memoryview(bytearray(1 << 20)), b""
        with connection:
            while True:
                while b"\r\n\r\n" not in kept:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    kept += piece
                head, kept = kept.split(b"\r\n\r\n", 1)
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                size = int(fields.get(b"content-length", 0))
                left = size - len(kept)
                kept = b""
                while left:
                    count = connection.recv_into(space, min(left, len(space)))
                    if not count:
                        return
                    left -= count
                if size:
                    self.sizes.append(size)
                connection.sendall(ANSWER)
