"""nginx: the service behind every proxy, and a proxy that checks no token."""

from peer import Peer

CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 16000; }}
http {{
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    access_log off;
    keepalive_requests 100000000;
    {body}
}}
"""


def run(place, folder, body):
    (folder / "nginx.conf").write_text(CONFIGURATION.format(body=body))
    return [place.tools / "nginx", "-p", folder, "-e", "stderr", "-c", "nginx.conf"]


class Upstream(Peer):
    """The service behind every proxy: 130 bytes, bodies of some sizes, and /api/up, which reads a whole body."""

    name = "upstream"
    SIZES = {"1k": 1 << 10, "64k": 64 << 10, "16m": 16 << 20}

    def port(self, place):
        return place.upstream

    def command(self, place, folder, port):
        (folder / "files/api").mkdir(parents=True)
        for name, size in self.SIZES.items():
            (folder / "files/api" / name).write_bytes(bytes(size))
        # nginx reads a body to its end only to pass the request on: here to itself, without the body.
        return run(place, folder, f"""
    upstream itself {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        client_max_body_size 0;
        location / {{ return 200 '{'an answer of 130 bytes':.<130}'; }}
        location ~ ^/api/[0-9]+[km]$ {{ root {folder}/files; }}
        location = /api/up {{
            client_body_buffer_size 16m;
            proxy_pass http://itself/; proxy_http_version 1.1; proxy_method GET; proxy_pass_request_body off;
            proxy_set_header Connection ""; proxy_set_header Content-Length "";
        }}
    }}""")


class Nginx(Peer):
    name, title = "nginx", "nginx, no token"
    note = "client certificate required, then forwards: no token, no policy, no access log; bodies are not kept in files."
    tells_version = ("nginx", "-v")
    authenticates = False

    def command(self, place, folder, port):
        c = place.folder / "c"
        sessions = "ssl_session_tickets on; ssl_session_cache shared:sessions:10m;" if place.tickets else "ssl_session_tickets off; ssl_session_cache off;"
        return run(place, folder, f"""
    upstream up {{ server 127.0.0.1:{place.upstream}; keepalive 128; keepalive_requests 100000000; }}
    upstream calls {{ server 127.0.0.1:{place.calls}; keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=4096;
        ssl_certificate {c}/server.pem; ssl_certificate_key {c}/server.key;
        ssl_client_certificate {c}/ca.pem; ssl_verify_client on;
        ssl_protocols TLSv1.3; ssl_ecdh_curve X25519; {sessions}
        http2_max_concurrent_streams 256;
        keepalive_timeout 600s; client_header_timeout 600s; client_max_body_size 0;
        proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0;
        proxy_set_header Connection ""; proxy_set_header Host $host;
        location / {{ proxy_pass http://up; }}
        location = /api/socket {{
            proxy_pass http://127.0.0.1:{place.services};
            proxy_set_header Connection upgrade; proxy_set_header Upgrade $http_upgrade;
        }}
        location /api/echo.Echo/ {{ grpc_pass grpc://calls; }}
    }}""")
