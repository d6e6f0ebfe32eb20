//! Accepts connections, finishes TLS, speaks HTTP/1.1 and HTTP/2, drains.
