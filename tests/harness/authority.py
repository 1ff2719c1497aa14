"""An authority that signs certificates of servers on this machine, as a fleet may have one of its own."""

import subprocess


class Authority:
    def __init__(self, folder, name="Fleet"):
        self._folder, self._name = folder, name
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                 "-addext", "keyUsage=critical,keyCertSign", "-keyout", self._key, "-out", self.file)

    def sign(self):
        """A file with the certificate of 127.0.0.1, and its key after it, as haproxy reads them."""
        request, key, extensions = (self._folder / f"{self._name}-server.{kind}" for kind in ("csr", "key", "ext"))
        extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
                              "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
        _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=osrm", "-keyout", key, "-out", request)
        certificate = _openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial",
                               "-days", "2", "-extfile", extensions)
        file = self._folder / f"{self._name}-server.pem"
        file.write_bytes(certificate + key.read_bytes())
        return file


def _openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout
