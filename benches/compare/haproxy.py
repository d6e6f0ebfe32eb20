"""HAProxy of Debian, which verifies tokens without remembering any."""

from peer import Peer


class Haproxy(Peer):
    name, title = "haproxy", "HAProxy"
    note = "verifies the token each time (it has no cache), reads the scope claim in place of the groups, knows no SPIFFE ID."
    tells_version = ("haproxy", "-v")

    def command(self, place, folder, port):
        c = place.folder / "c"
        tickets = "" if place.tickets else " no-tls-tickets"
        (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  no strict-limits
  maxconn 12000
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.3{tickets}
  ssl-default-bind-curves X25519
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
  timeout connect 5s
frontend f
  bind 127.0.0.1:{port} backlog 4096 ssl crt {c}/server.both.pem ca-file {c}/ca.pem verify required alpn h2,http/1.1
  http-request set-var(txn.b) http_auth_bearer
  http-request set-var(txn.alg) var(txn.b),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.b),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.b),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.b),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  acl rs256 var(txn.alg) -m str RS256
  acl es256 var(txn.alg) -m str ES256
  http-request deny deny_status 401 unless rs256 || es256
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str https://issuer.bench.local }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str bench-api }}
  http-request deny deny_status 401 if rs256 !{{ var(txn.b),jwt_verify(txn.alg,"{c}/rsa.pub") 1 }}
  http-request deny deny_status 401 if es256 !{{ var(txn.b),jwt_verify(txn.alg,"{c}/ec.pub") 1 }}
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 403 unless {{ method GET PUT POST }} {{ path_beg /api/ }} {{ var(txn.b),jwt_payload_query('$.scope') -m sub read }}
  use_backend socket if {{ path /api/socket }}
  use_backend calls if {{ path_beg /api/echo.Echo/ }}
  default_backend b
backend b
  http-reuse always
  server s 127.0.0.1:{place.upstream} maxconn 4096 pool-max-conn 1024
backend socket
  server s 127.0.0.1:{place.services}
backend calls
  server s 127.0.0.1:{place.calls} proto h2
""")
        return [place.tools / "haproxy", "-db", "-q", "-f", folder / "haproxy.cfg"]
