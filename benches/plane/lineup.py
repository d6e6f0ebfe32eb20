"""The proxies of the data plane's measures: those of benches/compare, with what each measure adds."""

import material
import peers


class Portcullis(peers.Portcullis):
    """Silent and idle connections stay for as long as a measure lasts."""

    more = "[timeouts]\nhead = \"10m\"\nhandshake = \"10m\"\nidle = \"10m\"\n"

    def command(self, place, folder, port):
        command = super().command(place, folder, port)
        file = folder / "portcullis.toml"
        file.write_text(self.changed(file.read_text(), place.folder / "c") + self.more)
        return command

    def changed(self, text, c):
        return text


class Revoked(Portcullis):
    name, title = "portcullis-crl", f"Portcullis, {material.REVOKED:,} revoked"
    note = "the same with a revocation list of that many entries."

    def changed(self, text, c):
        return text.replace("[trust.bench]\n", f"[trust.bench]\ncrl = {{ files = [\"{c}/revoked.pem\"] }}\n")


class Hosts(Portcullis):
    name, title = "portcullis-hosts", f"Portcullis, {material.HOSTS:,} certificates"
    note = "the same with that many certificates; each handshake asks for another."

    def changed(self, text, c):
        pairs = [f"{{ chain = \"{c}/server.pem\", key = \"{c}/server.key\" }}"]
        pairs += [f"{{ chain = \"{c}/hosts/{number}.pem\", key = \"{c}/hosts/{number}.key\" }}" for number in range(material.HOSTS)]
        before, rest = text.split("certificates = [", 1)
        return before + "certificates = [" + ", ".join(pairs) + rest[rest.index("]"):]


class Nginx(peers.Nginx):
    note = "no token, no policy, no access log."

    def command(self, place, folder, port):
        command = super().command(place, folder, port)
        file = folder / "nginx.conf"
        patience = "keepalive_timeout 600s; client_header_timeout 600s; proxy_request_buffering off; client_max_body_size 0;"
        file.write_text(file.read_text().replace("access_log off;", f"access_log off; {patience}"))
        return command


HANDSHAKES = [Portcullis(), Revoked(), Hosts(), peers.Envoy(), Nginx()]
BODIES = CROWDS = [Portcullis(), Nginx(), peers.Envoy()]
