"""Envoy, with its filters for tokens (cached) and for policy."""

from peer import Peer


class Envoy(Peer):
    name, title = "envoy", "Envoy"
    note = "token cached, group list and SPIFFE ID tested, access log off."
    tells_version = ("envoy", "--version")
    log = False

    def command(self, place, folder, port):
        c = place.folder / "c"
        access_log = f"""
          access_log:
          - name: file
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: {folder}/access.log }}""" if self.log else ""
        keys = (c / "jwks.json").read_text()
        sessions = "false" if place.tickets else "true"
        (folder / "envoy.yaml").write_text(f"""
static_resources:
  listeners:
  - name: l
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          disable_stateless_session_resumption: {sessions}
          disable_stateful_session_resumption: {sessions}
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3, ecdh_curves: [X25519, X25519MLKEM768] }}
            tls_certificates: [{{ certificate_chain: {{ filename: {c}/server.pem }}, private_key: {{ filename: {c}/server.key }} }}]
            validation_context: {{ trusted_ca: {{ filename: {c}/ca.pem }} }}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: h
          codec_type: AUTO
          forward_client_cert_details: SANITIZE_SET
          set_current_client_cert_details: {{ uri: true, dns: true, subject: true }}
          normalize_path: true{access_log}
          upgrade_configs: [{{ upgrade_type: websocket }}]
          route_config:
            virtual_hosts:
            - name: v
              domains: ["*"]
              routes:
              - {{ match: {{ path: "/api/socket" }}, route: {{ cluster: socket, timeout: 0s }} }}
              - {{ match: {{ prefix: "/api/echo.Echo/" }}, route: {{ cluster: calls, timeout: 0s }} }}
              - {{ match: {{ prefix: "/" }}, route: {{ cluster: up }} }}
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                p:
                  issuer: https://issuer.bench.local
                  audiences: [bench-api]
                  payload_in_metadata: jwt
                  forward: true
                  local_jwks: {{ inline_string: '{keys}' }}
                  jwt_cache_config: {{ jwt_cache_size: 10000, jwt_max_token_size: 8192 }}
              rules: [{{ match: {{ prefix: "/" }}, requires: {{ provider_name: p }} }}]
          - name: envoy.filters.http.rbac
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  p1:
                    permissions:
                    - and_rules:
                        rules:
                        - or_rules:
                            rules:
                            - header: {{ name: ":method", string_match: {{ exact: GET }} }}
                            - header: {{ name: ":method", string_match: {{ exact: PUT }} }}
                            - header: {{ name: ":method", string_match: {{ exact: POST }} }}
                        - url_path: {{ path: {{ prefix: "/api/" }} }}
                    principals:
                    - and_ids:
                        ids:
                        - authenticated: {{ principal_name: {{ prefix: "spiffe://bench.local/" }} }}
                        - metadata:
                            filter: envoy.filters.http.jwt_authn
                            path: [{{ key: jwt }}, {{ key: groups }}]
                            value: {{ list_match: {{ one_of: {{ string_match: {{ exact: sre }} }} }} }}
          - name: envoy.filters.http.router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
  - name: up
    type: STATIC
    load_assignment: {{ cluster_name: up, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {place.upstream} }} }} }} }}] }}] }}
  - name: socket
    type: STATIC
    load_assignment: {{ cluster_name: socket, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {place.services} }} }} }} }}] }}] }}
  - name: calls
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
    load_assignment: {{ cluster_name: calls, endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {place.calls} }} }} }} }}] }}] }}
""")
        return [place.tools / "envoy", "-c", folder / "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]


class EnvoyWithLog(Envoy):
    name, title = "envoy-log", "Envoy, access log on"
    note = "the same, and a line of access log per request, as Portcullis leaves a record of each."
    log = True
