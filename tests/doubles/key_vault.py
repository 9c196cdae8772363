"""Azure: the login service, managed identities, and Key Vault with secrets, keys and certificates."""

import base64
import binascii
import hashlib
import re
import threading
import time
import uuid

import tokens
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

TENANT, CLIENT, SECRET = "11111111-2222-3333-4444-555555555555", "client-1", "client~secret"
CLOUDS = {
    "login.microsoftonline.com": "vault.azure.net",
    "login.microsoftonline.us": "vault.usgovcloudapi.net",
}
MANAGEMENT = {
    "login.microsoftonline.com": "management.azure.com",
    "login.microsoftonline.us": "management.usgovcloudapi.net",
}
KINDS = {"secrets": "Secret", "keys": "Key", "certificates": "Certificate"}
NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")


class Azure:
    def __init__(self, switches, answer):
        self.switches, self.answer = switches, answer
        self.lock = threading.RLock()
        self.tenant_key = tokens.new_key()
        # Signs the tokens of Kubernetes service accounts.
        self.outside_key = tokens.new_key()
        self.client_key = tokens.new_key()
        self.certificate = self.client_certificate()
        self.reset()

    def reset(self):
        with self.lock:
            self.vaults = {}
            self.lifetime = 3600

    def client_certificate(self):
        import datetime

        now = datetime.datetime.now(datetime.timezone.utc)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "client")])
        return (
            x509.CertificateBuilder(name, name, self.client_key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .sign(self.client_key, hashes.SHA256())
        )

    # What a test puts there.

    def control(self, what, body):
        with self.lock:
            if what == "client":
                pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode()
                pfx = pkcs12.serialize_key_and_certificates(
                    b"client",
                    self.client_key,
                    self.certificate,
                    None,
                    serialization.BestAvailableEncryption((body.get("password") or "x").encode())
                    if body.get("password")
                    else serialization.NoEncryption(),
                )
                return {
                    "tenant": TENANT,
                    "client": CLIENT,
                    "secret": SECRET,
                    "pem": pem + tokens.pem_of(self.client_key),
                    "pfx": base64.b64encode(pfx).decode(),
                }
            if what == "token":
                return {"token": self.issue("https://vault.azure.net", "person")}
            if what == "outside-token":
                now = int(time.time())
                claims = {"iss": "https://cluster.example", "sub": "system:serviceaccount:shop:web"}
                return {"token": tokens.sign(self.outside_key, {**claims, "iat": now, "exp": now + 900, **body})}
            if what == "lifetime":
                self.lifetime = body["seconds"]
            if what == "secret":
                vault = self.vault(body["vault"])
                for value in body["values"]:
                    attributes = {"enabled": body.get("enabled", True)}
                    fields = {"value": value, "attributes": attributes, "tags": body.get("tags", {})}
                    self.new_version(vault, "secrets", body["name"], fields)
            if what == "purge":
                self.vault(body["vault"])["deleted"] = {kind: {} for kind in KINDS}
            if what == "key":
                vault = self.vault(body["vault"])
                return self.create_key(body["vault"], vault, body["name"], body)
            if what == "objects":
                return {"secrets": self.vault(body["vault"])["secrets"]}
        return {}

    def vault(self, host):
        empty = {kind: {} for kind in KINDS}
        return self.vaults.setdefault(host, {**empty, "deleted": {kind: {} for kind in KINDS}})

    def new_version(self, vault, kind, name, fields):
        now = int(time.time())
        attributes = fields.get("attributes") or {}
        version = {
            "version": uuid.uuid4().hex,
            "enabled": attributes.get("enabled", True),
            "exp": attributes.get("exp"),
            "nbf": attributes.get("nbf"),
            "created": now,
            "updated": now,
            "tags": fields.get("tags") or {},
            **{key: fields[key] for key in ("value", "contentType", "private", "public", "cer") if fields.get(key) is not None},
        }
        vault[kind].setdefault(name, []).append(version)
        return version

    # Errors.

    def error(self, status, code, message, inner=None, headers=()):
        error = {"code": code, "message": message}
        if inner:
            error["innererror"] = {"code": inner}
        return self.answer(status, {"error": error}, dict(headers))

    def permit(self, permission):
        if self.switches.refuses(permission):
            message = (
                f"The user, group or application 'appid={CLIENT}' does not have {permission} permission.\r\n"
                "For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287"
            )
            raise self.error(403, "Forbidden", message, "ForbiddenByPolicy")

    def refused(self, code, text, status=400):
        description = f"{text} Trace ID: {uuid.uuid4()} Correlation ID: {uuid.uuid4()}"
        return self.answer(status, {"error": code, "error_description": description, "error_codes": [1]})

    # Tokens.

    def issue(self, audience, principal):
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
            "appid": principal,
            "tid": TENANT,
        }
        return tokens.sign(self.tenant_key, claims)

    def login(self, request):
        host = request.host
        if request.path == "/common/discovery/instance" or request.path.startswith("/common/"):
            names = [{"preferred_network": h, "preferred_cache": h, "aliases": [h]} for h in CLOUDS]
            endpoint = f"https://{host}/{TENANT}/v2.0/.well-known/openid-configuration"
            return self.answer(200, {"tenant_discovery_endpoint": endpoint, "api-version": "1.1", "metadata": names})
        if request.path.endswith("/.well-known/openid-configuration"):
            base = f"https://{host}/{TENANT}"
            return self.answer(
                200,
                {
                    "token_endpoint": f"{base}/oauth2/v2.0/token",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
                    "issuer": f"https://{host}/{TENANT}/v2.0",
                    "jwks_uri": f"https://{host}/{TENANT}/discovery/v2.0/keys",
                },
            )
        if request.path != f"/{TENANT}/oauth2/v2.0/token" or request.method != "POST":
            raise self.refused("invalid_request", "AADSTS90002: Tenant not found.")
        form = request.form()
        resource = f"https://{CLOUDS[host]}"
        if form.get("scope") == f"https://{MANAGEMENT[host]}/.default":
            resource = f"https://{MANAGEMENT[host]}"
        if form.get("grant_type") != "client_credentials":
            raise self.refused("unsupported_grant_type", "AADSTS70003: The grant type is not supported.")
        if form.get("scope", "").split()[:1] != [f"{resource}/.default"]:
            raise self.refused("invalid_scope", "AADSTS1002012: The scope is not valid.")
        if form.get("client_id") != CLIENT:
            raise self.refused("unauthorized_client", "AADSTS700016: Application was not found.")
        if "client_assertion" in form:
            self.check_assertion(form, f"https://{host}{request.path}")
        elif form.get("client_secret") != SECRET:
            raise self.refused("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
        token = self.issue(resource, CLIENT)
        return self.answer(
            200,
            {"token_type": "Bearer", "expires_in": self.lifetime, "ext_expires_in": self.lifetime, "access_token": token},
        )

    def check_assertion(self, form, endpoint):
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assertion = form["client_assertion"]
        header, claims = tokens.parts(assertion)
        if form.get("client_assertion_type") != kind or claims is None:
            raise self.refused("invalid_request", "AADSTS50027: Invalid JWT token.")
        if claims.get("iss") == "https://cluster.example":
            claims = tokens.verified(assertion, self.outside_key)
            audience = claims and claims.get("aud")
            if not claims or "api://AzureADTokenExchange" not in ([audience] if isinstance(audience, str) else audience):
                raise self.refused("invalid_client", "AADSTS700212: No matching federated identity record found.", 401)
            return
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        thumbprints = {
            "x5t": tokens.b64url(hashlib.sha1(der).digest()),
            "x5t#S256": tokens.b64url(hashlib.sha256(der).digest()),
        }
        known = any(header.get(name, "").rstrip("=") == value for name, value in thumbprints.items())
        claims = tokens.verified(assertion, self.client_key)
        good = claims and claims.get("iss") == claims.get("sub") == CLIENT and claims.get("aud") == endpoint
        if not known or not good or not claims.get("jti"):
            raise self.refused("invalid_client", "AADSTS700027: The certificate is not registered.", 401)

    def managed_identity(self, request):
        if request.path == "/msi/token":
            good = request.headers.get("X-IDENTITY-HEADER") == "identity-header"
        else:
            good = request.headers.get("Metadata", "").lower() == "true"
        resource = request.query.get("resource", "").rstrip("/")
        if not good or resource.removeprefix("https://") not in {*CLOUDS.values(), *MANAGEMENT.values()}:
            return self.answer(400, {"error": "invalid_request", "error_description": "Required metadata header not specified"})
        client = request.query.get("client_id") or request.query.get("msi_res_id")
        if client not in (None, "user-assigned", "/subscriptions/s/identities/user-assigned"):
            return self.answer(400, {"error": "invalid_request", "error_description": "Identity not found"})
        now = int(time.time())
        return self.answer(
            200,
            {
                "access_token": self.issue(resource, client or "system-assigned"),
                "client_id": client or "system-assigned",
                "expires_in": str(self.lifetime),
                "expires_on": str(now + self.lifetime),
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            },
        )

    # The vault.

    def serve(self, request):
        if request.host in CLOUDS:
            return self.login(request)
        suffix = request.host.partition(".")[2]
        resource = f"https://{suffix}"
        token = request.bearer()
        claims = tokens.verified(token, self.tenant_key) if token else None
        if claims is None or claims["aud"].rstrip("/") != resource:
            login = next(host for host, vaults in CLOUDS.items() if vaults == suffix)
            challenge = f'Bearer authorization="https://{login}/{TENANT}", resource="{resource}"'
            text = "AKV10000: Request is missing a Bearer or PoP token."
            raise self.error(401, "Unauthorized", text, headers={"WWW-Authenticate": challenge})
        fault = self.switches.next_fault()
        if fault == 429:
            after = self.switches.retry_after
            headers = {} if after is None else {"Retry-After": str(after)}
            raise self.error(429, "Throttled", "Request was not processed because too many requests were received.", headers=headers)
        if fault == 503:
            raise self.error(503, "ServiceUnavailable", "The service is not available.")
        if not re.fullmatch(r"\d+\.\d+(-preview\.\d+)?|20\d\d-\d\d-\d\d", request.query.get("api-version", "")):
            raise self.error(400, "BadParameter", "api-version must be specified")
        with self.lock:
            return self.route(request, self.vault(request.host))

    def route(self, request, vault):
        parts = request.path.strip("/").split("/")
        kind = parts[0]
        if kind.startswith("deleted") and kind[7:] in KINDS:
            return self.deleted(request, vault, kind[7:], parts[1:])
        if kind not in KINDS:
            raise self.error(404, "NotFound", "Not found")
        method = request.method
        if len(parts) == 1:
            return self.listing(request, vault, kind)
        name = parts[1].lower()
        if not NAME.fullmatch(name):
            raise self.error(400, "BadParameter", f"The name {parts[1]} is not valid.")
        if method == "GET" and len(parts) <= 3:
            return self.get(request, vault, kind, name, parts[2] if len(parts) == 3 else "")
        if method == "GET" and parts[2:] == ["versions"]:
            self.permit(f"{kind}/list")
            versions = vault[kind].get(name, [])
            return self.page(request, [self.shown(request, kind, name, one, False) for one in versions])
        if method == "DELETE" and len(parts) == 2:
            return self.delete(request, vault, kind, name)
        if kind == "keys" and method == "POST" and len(parts) >= 3 and parts[-1] in ("encrypt", "decrypt", "wrapkey", "unwrapkey"):
            version = parts[2] if len(parts) == 4 else ""
            return self.use_key(request, vault, name, version, parts[-1])
        writes = {
            ("secrets", "PUT", ()): self.set_secret,
            ("keys", "PUT", ()): self.import_key,
            ("keys", "POST", ("create",)): self.create_key_of,
            ("certificates", "POST", ("import",)): self.import_certificate,
        }
        write = writes.get((kind, method, tuple(parts[2:])))
        if write is None:
            raise self.error(405, "MethodNotAllowed", "The method is not allowed.")
        if name in vault["deleted"][kind]:
            word = KINDS[kind].lower()
            text = f"{KINDS[kind]} {name} is currently in a deleted but recoverable state, and its name cannot be reused"
            self.permit(f"{kind}/set" if kind == "secrets" else f"{kind}/import")
            raise self.error(409, "Conflict", f"{text}; in this state, the {word} can only be recovered or purged.", "ObjectIsDeletedButRecoverable")
        return write(request, vault, name)

    def shown(self, request, kind, name, version, whole=True):
        base = f"https://{request.host}"
        attributes = {"enabled": version["enabled"], "created": version["created"], "updated": version["updated"]}
        attributes |= {"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
        attributes |= {key: version[key] for key in ("exp", "nbf") if version.get(key) is not None}
        identity = f"{base}/{kind}/{name}" + (f"/{version['version']}" if whole else "")
        fields = {"attributes": attributes, "tags": version["tags"]}
        if kind == "keys":
            key = {**version["public"], "kid": identity}
            return {**fields, "key": key} if whole else {**fields, "kid": identity}
        fields["id"] = identity
        if "contentType" in version:
            fields["contentType"] = version["contentType"]
        if kind == "secrets" and whole:
            fields["value"] = version["value"]
        if kind == "certificates":
            der = base64.b64decode(version["cer"])
            fields["x5t"] = tokens.b64url(hashlib.sha1(der).digest())
            if whole:
                tail = f"{name}/{version['version']}"
                fields |= {"cer": version["cer"], "kid": f"{base}/keys/{tail}", "sid": f"{base}/secrets/{tail}"}
                fields["policy"] = {"id": f"{base}/certificates/{name}/policy"}
        return fields

    def page(self, request, items):
        size = min(int(request.query.get("maxresults") or 25), 25)
        start = int(request.query.get("$skiptoken") or 0)
        page = {"value": items[start : start + size], "nextLink": None}
        if start + size < len(items):
            version = request.query["api-version"]
            page["nextLink"] = f"https://{request.host}:443{request.path}?api-version={version}&$skiptoken={start + size}&maxresults={size}"
        return self.answer(200, page)

    def listing(self, request, vault, kind):
        self.permit(f"{kind}/list")
        names = sorted(vault[kind])
        return self.page(request, [self.shown(request, kind, name, vault[kind][name][-1], False) for name in names])

    def find(self, vault, kind, name, version):
        versions = vault[kind].get(name, [])
        found = [one for one in versions if version in ("", one["version"])]
        if not found:
            what = f"A {KINDS[kind].lower()} with (name/id) {name}{'/' + version if version else ''} was not found in this key vault."
            raise self.error(404, f"{KINDS[kind]}NotFound", what + " If you recently deleted this, you may be able to recover it.")
        return found[-1]

    def get(self, request, vault, kind, name, version):
        self.permit(f"{kind}/get")
        found = self.find(vault, kind, name, version)
        if kind == "secrets" and not found["enabled"]:
            raise self.error(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return self.answer(200, self.shown(request, kind, name, found))

    def set_secret(self, request, vault, name):
        self.permit("secrets/set")
        body = request.json()
        if not isinstance(body.get("value"), str) or len(body["value"].encode()) > 25 * 1024:
            raise self.error(400, "BadParameter", "The value is not valid.")
        version = self.new_version(vault, "secrets", name, body)
        return self.answer(200, self.shown(request, "secrets", name, version))

    def import_certificate(self, request, vault, name):
        self.permit("certificates/import")
        body = request.json()
        data = body.get("value", "").encode()
        try:
            decoded = base64.b64decode(data, validate=True)
        except binascii.Error:
            decoded = data
        try:
            if b"-----BEGIN" in decoded:
                certificate = x509.load_pem_x509_certificate(decoded[decoded.index(b"-----BEGIN CERTIFICATE"):])
                key = serialization.load_pem_private_key(decoded, None)
            else:
                password = (body.get("pwd") or "").encode() or None
                key, certificate, _ = pkcs12.load_key_and_certificates(decoded, password)
        except (ValueError, TypeError):
            key = certificate = None
        if key is None or certificate is None or certificate.public_key() != key.public_key():
            raise self.error(400, "BadParameter", "The specified PKCS#12 X.509 certificate content can not be read.")
        cer = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        version = self.new_version(vault, "certificates", name, {**body, "cer": cer, "value": None})
        return self.answer(200, self.shown(request, "certificates", name, version))

    def create_key_of(self, request, vault, name):
        self.permit("keys/create")
        return self.answer(200, self.create_key(request.host, vault, name, request.json()))

    def create_key(self, host, vault, name, body):
        private = rsa.generate_private_key(public_exponent=65537, key_size=body.get("key_size") or 2048)
        numbers = private.public_key().public_numbers()
        public = {
            "kty": "RSA",
            "key_ops": ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
            "n": tokens.b64url(numbers.n.to_bytes(private.key_size // 8, "big")),
            "e": "AQAB",
        }
        fields = {"private": private, "public": public, "tags": body.get("tags")}
        version = self.new_version(vault, "keys", name, fields)

        class Asked:
            pass

        asked = Asked()
        asked.host = host
        return self.shown(asked, "keys", name, version)

    def import_key(self, request, vault, name):
        self.permit("keys/import")
        body = request.json()
        key = body.get("key") or {}
        kind = key.get("kty", "")
        number = {name: int.from_bytes(tokens.unb64url(key[name]), "big") for name in key if name not in ("kty", "crv", "key_ops", "kid")}
        try:
            if kind == "RSA":
                public = rsa.RSAPublicNumbers(number["e"], number["n"])
                private = rsa.RSAPrivateNumbers(
                    number["p"], number["q"], number["d"], number["dp"], number["dq"], number["qi"], public
                ).private_key()
                shown = ("kty", "n", "e")
            elif kind == "EC":
                curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}[key["crv"]]
                public = ec.EllipticCurvePublicNumbers(number["x"], number["y"], curve)
                private = ec.EllipticCurvePrivateNumbers(number["d"], public).private_key()
                shown = ("kty", "crv", "x", "y")
            else:
                raise ValueError(kind)
        except (KeyError, ValueError):
            raise self.error(400, "BadParameter", "The key is not valid.") from None
        operations = ["sign", "verify"] + (["encrypt", "decrypt", "wrapKey", "unwrapKey"] if kind == "RSA" else [])
        public = {name: key[name] for name in shown} | {"key_ops": operations}
        fields = {**body, "private": private, "public": public}
        version = self.new_version(vault, "keys", name, fields)
        return self.answer(200, self.shown(request, "keys", name, version))

    def use_key(self, request, vault, name, version, verb):
        self.permit(f"keys/{verb}")
        key = self.find(vault, "keys", name, version)
        if not key["enabled"]:
            raise self.error(403, "Forbidden", f"Operation {verb} is not allowed on a disabled key.", "KeyDisabled")
        body = request.json()
        algorithms = {"RSA-OAEP-256": hashes.SHA256, "RSA-OAEP": hashes.SHA1}
        if body.get("alg") not in algorithms or "=" in body.get("value", ""):
            raise self.error(400, "BadParameter", "The algorithm or the value is not valid.")
        digest = algorithms[body["alg"]]
        scheme = padding.OAEP(padding.MGF1(digest()), digest(), None)
        data = tokens.unb64url(body["value"])
        try:
            if verb in ("encrypt", "wrapkey"):
                data = key["private"].public_key().encrypt(data, scheme)
            else:
                data = key["private"].decrypt(data, scheme)
        except ValueError:
            raise self.error(400, "BadParameter", "The parameter is incorrect.") from None
        kid = f"https://{request.host}/keys/{name}/{key['version']}"
        return self.answer(200, {"kid": kid, "value": tokens.b64url(data)})

    def delete(self, request, vault, kind, name):
        self.permit(f"{kind}/delete")
        self.find(vault, kind, name, "")
        versions = vault[kind].pop(name)
        vault["deleted"][kind][name] = versions
        return self.answer(200, self.shown_deleted(request, kind, name, versions))

    def shown_deleted(self, request, kind, name, versions):
        shown = self.shown(request, kind, name, versions[-1])
        shown.pop("value", None)
        now = int(time.time())
        recovery = f"https://{request.host}/deleted{kind}/{name}"
        return {**shown, "recoveryId": recovery, "deletedDate": now, "scheduledPurgeDate": now + 90 * 86400}

    def deleted(self, request, vault, kind, parts):
        held = vault["deleted"][kind]
        name = parts[0].lower() if parts else ""
        if name not in held:
            raise self.error(404, f"{KINDS[kind]}NotFound", f"Deleted {KINDS[kind]} not found: {name}")
        if request.method == "POST" and parts[1:] == ["recover"]:
            self.permit(f"{kind}/recover")
            vault[kind][name] = held.pop(name)
            return self.answer(200, self.shown(request, kind, name, vault[kind][name][-1]))
        if request.method == "DELETE":
            self.permit(f"{kind}/purge")
            del held[name]
            return self.answer(204, b"")
        self.permit(f"{kind}/get")
        return self.answer(200, self.shown_deleted(request, kind, name, held[name]))
