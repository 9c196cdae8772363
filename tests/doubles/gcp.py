"""Google: tokens in all their ways, Secret Manager, KMS."""

import base64
import datetime
import json
import os
import secrets as randomness
import threading
import time
import urllib.parse

import storage
import tokens
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PROJECT, NUMBER = "shop", "123456789012"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
POOL = f"//iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools/pool/providers/provider"
AWS_KEY = ("AKIAIOSFODNN7EXAMPLE", "made-for-tests")


def crc32c(data):
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = (total >> 1) ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def timestamp(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Google:
    def __init__(self, switches, answer):
        self.switches, self.answer = switches, answer
        self.lock = threading.RLock()
        self.account_key = tokens.new_key()
        # Signs the tokens of Kubernetes service accounts and of other clouds.
        self.outside_key = tokens.new_key()
        self.storage = storage.Storage(self)
        self.reset()

    def reset(self):
        with self.lock:
            self.tokens = {}
            self.secrets = {}
            self.storage.reset()
            self.keys = {}
            self.lifetime = 3600
            self.longest_page = 25000
            self.clock = time.time()

    # What a test puts there.

    def control(self, what, body):
        with self.lock:
            if what == "account":
                return {
                    "type": "service_account",
                    "project_id": PROJECT,
                    "private_key_id": "key-1",
                    "private_key": tokens.pem_of(self.account_key),
                    "client_email": f"robot@{PROJECT}.iam.gserviceaccount.com",
                    "client_id": "1",
                    "auth_uri": "https://accounts.google.com/o/oauth2/auth",
                    "token_uri": "https://oauth2.googleapis.com/token",
                    "universe_domain": "googleapis.com",
                }
            if what == "outside-token":
                now = int(time.time())
                claims = {"iss": "https://outside.example", "sub": "someone", "iat": now, "exp": now + 900}
                return {"token": tokens.sign(self.outside_key, {**claims, **body})}
            if what == "lifetime":
                self.lifetime = body["seconds"]
            if what == "longest-page":
                self.longest_page = body["entries"]
            if what == "forget-tokens":
                self.tokens = {}
            if what == "key":
                self.keys[body["name"]] = {"versions": [AESGCM(os.urandom(32))], "disabled": set()}
            if what == "rotate-key":
                self.keys[body["name"]]["versions"].append(AESGCM(os.urandom(32)))
            if what == "disable-key":
                self.keys[body["name"]]["disabled"].add(body["version"])
            if what == "secret":
                parent = f"projects/{NUMBER}" + (f"/locations/{body['location']}" if "location" in body else "")
                secret = self.new_secret(parent, body["name"], body)
                for data in body.get("versions", []):
                    self.new_version(secret, base64.b64decode(data))
            if what == "state":
                secret = self.secrets[f"projects/{NUMBER}/secrets/{body['name']}"]
                secret["versions"][body["version"] - 1]["state"] = body["state"]
            if what == "object":
                return self.storage.control(what, body)
            if what == "secrets":
                return {name: {"versions": len(s["versions"]), **s["fields"]} for name, s in self.secrets.items()}
        return {}

    # Errors.

    def error(self, status, code, message):
        headers = {}
        if status == 429 and self.switches.retry_after is not None:
            headers["Retry-After"] = str(self.switches.retry_after)
        return self.answer(
            status, {"error": {"code": status, "message": message, "status": code}}, headers
        )

    def not_found(self, message):
        return self.error(404, "NOT_FOUND", message)

    def permit(self, permission, resource):
        if self.switches.refuses(permission):
            raise self.error(
                403,
                "PERMISSION_DENIED",
                f"Permission '{permission}' denied for resource '{resource}' (or it may not exist).",
            )

    # Tokens.

    def issue(self, principal):
        token = "ya29." + randomness.token_urlsafe(40)
        with self.lock:
            self.tokens[token] = (principal, time.time() + self.lifetime)
        return token

    def refused(self, status, code, description="refused"):
        return self.answer(status, {"error": code, "error_description": description})

    def principal(self, request):
        token = request.bearer()
        with self.lock:
            principal, until = self.tokens.get(token, (None, 0))
        if until > time.time():
            return principal
        # Some clients sign a token themselves and ask no one for another.
        claims = tokens.verified(token, self.account_key) if token else None
        if claims and claims.get("iss") == f"robot@{PROJECT}.iam.gserviceaccount.com":
            if claims.get("scope") == SCOPE or claims.get("aud") == f"https://{request.host}/":
                return claims["iss"]
        raise self.error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")

    def token(self, request):
        form = request.form()
        if form.get("grant_type") == "refresh_token":
            wanted = ("client", "client-secret", "refresh-token")
            if (form.get("client_id"), form.get("client_secret"), form.get("refresh_token")) != wanted:
                raise self.refused(400, "invalid_grant")
            return self.access_token("user@example.com")
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise self.refused(400, "unsupported_grant_type")
        claims = tokens.verified(form.get("assertion", ""), self.account_key)
        email = f"robot@{PROJECT}.iam.gserviceaccount.com"
        good = claims and claims.get("aud") == "https://oauth2.googleapis.com/token"
        if not good or claims.get("iss") != email or claims["exp"] - claims["iat"] > 3600:
            raise self.refused(400, "invalid_grant", "Invalid JWT Signature.")
        # A token that only acts as another account may be one for IAM alone.
        if not {SCOPE, "https://www.googleapis.com/auth/iam"} & set(claims.get("scope", "").split()):
            raise self.refused(400, "invalid_scope")
        return self.access_token(email)

    def access_token(self, principal):
        return self.answer(
            200,
            {"access_token": self.issue(principal), "expires_in": self.lifetime, "token_type": "Bearer"},
        )

    def exchange(self, request):
        form = request.form()
        kind, subject = form.get("subject_token_type", ""), form.get("subject_token", "")
        asked = (form.get("grant_type"), form.get("requested_token_type"), form.get("audience"))
        wanted = (
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "urn:ietf:params:oauth:token-type:access_token",
            POOL,
        )
        if asked != wanted or form.get("scope") != SCOPE:
            raise self.refused(400, "invalid_request")
        if kind == "urn:ietf:params:aws:token-type:aws4_request":
            signed = json.loads(urllib.parse.unquote(subject))
            headers = {one["key"].lower(): one["value"] for one in signed["headers"]}
            if headers.get("x-goog-cloud-target-resource") != POOL:
                raise self.refused(400, "invalid_grant")
            id_is_known = f"Credential={AWS_KEY[0]}/" in headers["authorization"]
            if not id_is_known or not tokens.aws_signature_is_valid(signed, AWS_KEY[1]):
                raise self.refused(400, "invalid_grant")
        else:
            claims = tokens.verified(subject, self.outside_key)
            audiences = claims and claims.get("aud")
            audiences = audiences if isinstance(audiences, list) else [audiences]
            if not claims or POOL not in audiences and f"https:{POOL}" not in audiences:
                raise self.refused(400, "invalid_grant")
        return self.answer(
            200,
            {
                "access_token": self.issue("principal://pool/someone"),
                "issued_token_type": wanted[1],
                "token_type": "Bearer",
                "expires_in": self.lifetime,
            },
        )

    def identity_binding(self, request):
        body = request.json()
        pool = f"{PROJECT}.svc.id.goog"
        provider = f"https://container.googleapis.com/v1/projects/{PROJECT}/locations/europe-west1/clusters/main"
        claims = tokens.verified(body.get("subject_token", ""), self.outside_key)
        if not claims or pool not in claims.get("aud", []):
            raise self.refused(400, "invalid_grant")
        if body.get("audience") != f"identitynamespace:{pool}:{provider}" or body.get("scope") != SCOPE:
            raise self.refused(400, "invalid_target")
        return self.access_token(f"serviceAccount:{pool}[{claims['sub']}]")

    def impersonate(self, request):
        email = request.path.rsplit("/", 1)[1].split(":")[0]
        self.principal(request)
        self.permit("iam.serviceAccounts.getAccessToken", email)
        if request.json().get("scope") not in ([SCOPE], SCOPE):
            raise self.error(400, "INVALID_ARGUMENT", "scope")
        until = time.time() + self.lifetime
        return self.answer(200, {"accessToken": self.issue(email), "expireTime": timestamp(until)[:19] + "Z"})

    def metadata(self, request):
        if request.headers.get("Metadata-Flavor") != "Google":
            return self.answer(403, "Missing required header")
        flavor = {"Metadata-Flavor": "Google"}
        path = request.path.removeprefix("/computeMetadata/v1/").strip("/")
        email = f"machine@{PROJECT}.iam.gserviceaccount.com"
        texts = {
            "project/project-id": PROJECT,
            "project/numeric-project-id": NUMBER,
            "instance/attributes/cluster-name": "main",
            "instance/attributes/cluster-location": "europe-west1",
            "universe/universe-domain": "googleapis.com",
        }
        accounts = "instance/service-accounts/"
        if path in texts:
            return self.answer(200, texts[path], flavor)
        if path.startswith(accounts) and path.endswith("/token"):
            answer = self.access_token(email)
            answer.headers.update(flavor)
            return answer
        if path == accounts + "default/identity":
            claims = {"aud": request.query["audience"], "email": email, "format": request.query["format"]}
            return self.answer(200, tokens.sign(self.outside_key, claims), {**flavor, "Content-Type": "text/html"})
        if path.startswith(accounts):
            account = {"aliases": ["default"], "email": email, "scopes": [SCOPE]}
            return self.answer(200, account, flavor)
        return self.answer(200 if path in ("", "computeMetadata/v1") else 404, "", flavor)

    # The services.

    def serve(self, request):
        host, path = request.host, request.path
        if host == "oauth2.googleapis.com" and path == "/token":
            return self.token(request)
        if host == "sts.googleapis.com" and path == "/v1/token":
            return self.exchange(request)
        if host == "securetoken.googleapis.com" and path == "/v1/identitybindingtoken":
            return self.identity_binding(request)
        if host == "iamcredentials.googleapis.com" and path.endswith(":generateAccessToken"):
            return self.impersonate(request)
        if host.startswith("secretmanager.") or host == "cloudkms.googleapis.com":
            fault = self.switches.next_fault()
            if fault == 429:
                raise self.error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.")
            if fault == 503:
                raise self.error(503, "UNAVAILABLE", "The service is currently unavailable.")
            self.principal(request)
            with self.lock:
                if host == "cloudkms.googleapis.com":
                    return self.kms(request)
                return self.secret_manager(request)
        if host == "storage.googleapis.com":
            with self.lock:
                return self.storage.serve(request)
        return self.not_found("Method not found.")

    def kms(self, request):
        resource, _, verb = request.path.removeprefix("/v1/").rpartition(":")
        permission = {"encrypt": "ToEncrypt", "decrypt": "ToDecrypt"}.get(verb)
        if request.method != "POST" or permission is None:
            raise self.not_found("Method not found.")
        self.permit(f"cloudkms.cryptoKeyVersions.use{permission}", resource)
        key = self.keys.get(resource)
        if key is None:
            raise self.not_found(f"CryptoKey {resource} not found.")
        body = request.json()
        if verb == "encrypt":
            version = len(key["versions"])
            nonce = os.urandom(12)
            text = key["versions"][-1].encrypt(nonce, base64.b64decode(body["plaintext"]), b"")
            blob = bytes([10, version]) + nonce + text
            name = f"{resource}/cryptoKeyVersions/{version}"
            checksum = str(crc32c(blob))
            answer = {"name": name, "ciphertext": base64.b64encode(blob).decode()}
            return self.answer(200, {**answer, "ciphertextCrc32c": checksum, "protectionLevel": "SOFTWARE"})
        blob = base64.b64decode(body["ciphertext"])
        wrong = self.error(
            400,
            "INVALID_ARGUMENT",
            "Decryption failed: verify that 'name' refers to the correct CryptoKey.",
        )
        if len(blob) < 14 or blob[0] != 10 or not 1 <= blob[1] <= len(key["versions"]):
            raise wrong
        if blob[1] in key["disabled"]:
            raise self.error(400, "FAILED_PRECONDITION", f"{resource}/cryptoKeyVersions/{blob[1]} is not enabled")
        try:
            plain = key["versions"][blob[1] - 1].decrypt(blob[2:14], blob[14:], b"")
        except InvalidTag:
            raise wrong from None
        return self.answer(
            200,
            {
                "plaintext": base64.b64encode(plain).decode(),
                "plaintextCrc32c": str(crc32c(plain)),
                "usedPrimary": blob[1] == len(key["versions"]),
                "protectionLevel": "SOFTWARE",
            },
        )

    def new_secret(self, parent, name, fields):
        known = ("labels", "annotations", "topics", "replication", "versionAliases", "customerManagedEncryption")
        kept = {key: fields[key] for key in known if fields.get(key)}
        secret = {
            "name": f"{parent}/secrets/{name}",
            "fields": kept,
            "created": self.tick(),
            "etag": randomness.token_hex(7),
            "versions": [],
        }
        self.secrets[secret["name"]] = secret
        return secret

    def new_version(self, secret, data):
        secret["versions"].append({"data": data, "state": "ENABLED", "created": self.tick()})

    def tick(self):
        self.clock = max(self.clock + 0.001, time.time())
        return self.clock

    def shown(self, secret):
        fields = {"name": secret["name"], "createTime": timestamp(secret["created"]), "etag": f'"{secret["etag"]}"'}
        return {**fields, **secret["fields"]}

    def shown_version(self, secret, number):
        version = secret["versions"][number - 1]
        return {
            "name": f"{secret['name']}/versions/{number}",
            "createTime": timestamp(version["created"]),
            "state": version["state"],
        }

    def secret_manager(self, request):
        path = request.path.removeprefix("/v1/")
        location = None
        if request.host != "secretmanager.googleapis.com":
            location = request.host.split(".")[1]
        parts = path.split("/")
        if parts[0] != "projects" or parts[1] not in (PROJECT, NUMBER):
            self.permit("no such project", path)
            raise self.error(403, "PERMISSION_DENIED", f"Permission denied on resource project {parts[1:2]}.")
        parts[1] = NUMBER
        if (parts[2:4] == ["locations", location]) != (location is not None):
            raise self.error(400, "INVALID_ARGUMENT", "The location of the endpoint is another one.")
        at = 4 if location else 2
        parent, rest = "/".join(parts[:at]), parts[at:]
        if rest[:1] != ["secrets"]:
            raise self.not_found("Method not found.")
        if len(rest) == 1:
            return self.collection(request, parent)
        name, _, verb = rest[1].partition(":")
        full = f"{parent}/secrets/{name}"
        secret = self.secrets.get(full)
        if len(rest) == 2:
            return self.one_secret(request, full, secret, verb)
        if len(rest) == 3 and rest[2] == "versions" and request.method == "GET":
            self.permit("secretmanager.versions.list", full)
            if secret is None:
                raise self.not_found(f"Secret [{full}] not found.")
            numbers = range(len(secret["versions"]), 0, -1)
            shown = [self.shown_version(secret, number) for number in numbers]
            if request.query.get("filter") == "state:ENABLED":
                shown = [one for one in shown if one["state"] == "ENABLED"]
            return self.page(request, "versions", shown)
        version, _, verb = rest[3].partition(":")
        return self.one_version(request, full, secret, version, verb)

    def page(self, request, name, items):
        size = min(int(request.query.get("pageSize") or 25000) or 25000, self.longest_page)
        start = int(request.query.get("pageToken") or 0)
        page = {name: items[start : start + size], "totalSize": len(items)}
        if start + size < len(items):
            page["nextPageToken"] = str(start + size)
        return self.answer(200, page)

    def collection(self, request, parent):
        if request.method == "GET":
            self.permit("secretmanager.secrets.list", parent)
            found = [s for s in self.secrets.values() if s["name"].rsplit("/secrets/")[0] == parent]
            for term in (request.query.get("filter") or "").replace(" AND ", " ").split():
                if term.startswith("name:"):
                    found = [s for s in found if term[5:] in s["name"].rsplit("/", 1)[1]]
                elif term.startswith("labels.") and "=" in term:
                    key, value = term[7:].split("=", 1)
                    found = [s for s in found if s["fields"].get("labels", {}).get(key) == value]
                else:
                    raise self.error(400, "INVALID_ARGUMENT", f"Invalid filter: {term}")
            found.sort(key=lambda secret: -secret["created"])
            return self.page(request, "secrets", [self.shown(secret) for secret in found])
        self.permit("secretmanager.secrets.create", parent)
        name, body = request.query.get("secretId", ""), request.json()
        full = f"{parent}/secrets/{name}"
        if full in self.secrets:
            raise self.error(409, "ALREADY_EXISTS", f"Secret [{full}] already exists.")
        regional = "/locations/" in parent
        if not name or regional == bool(body.get("replication")):
            raise self.error(400, "INVALID_ARGUMENT", "secret.replication")
        return self.answer(200, self.shown(self.new_secret(parent, name, body)))

    def one_secret(self, request, full, secret, verb):
        method = {"GET": "get", "PATCH": "update", "DELETE": "delete"}.get(request.method)
        permission = f"secretmanager.secrets.{method}"
        if verb == "addVersion":
            permission = "secretmanager.versions.add"
        self.permit(permission, full)
        if secret is None:
            raise self.not_found(f"Secret [{full}] not found.")
        if verb == "addVersion":
            payload = request.json()["payload"]
            data = base64.b64decode(payload.get("data", ""))
            if "dataCrc32c" in payload and int(payload["dataCrc32c"]) != crc32c(data):
                raise self.error(400, "INVALID_ARGUMENT", "The checksum is wrong.")
            if len(data) > 65536:
                raise self.error(400, "INVALID_ARGUMENT", "The secret payload is larger than 65536 bytes.")
            self.new_version(secret, data)
            return self.answer(200, self.shown_version(secret, len(secret["versions"])))
        if request.method == "GET":
            return self.answer(200, self.shown(secret))
        body = request.json() if request.method == "PATCH" else {}
        etag = request.query.get("etag") or body.get("etag")
        if etag and etag.strip('"') != secret["etag"]:
            raise self.error(400, "FAILED_PRECONDITION", "The etag provided does not match the current one.")
        if request.method == "DELETE":
            del self.secrets[full]
            return self.answer(200, {})
        for field in request.query["updateMask"].split(","):
            field = field.replace("version_aliases", "versionAliases")
            secret["fields"].pop(field, None)
            if body.get(field):
                secret["fields"][field] = body[field]
        secret["etag"] = randomness.token_hex(7)
        return self.answer(200, self.shown(secret))

    def one_version(self, request, full, secret, version, verb):
        words = {"access": "access", "disable": "disable", "enable": "enable", "destroy": "destroy"}
        permission = f"secretmanager.versions.{words.get(verb, 'get')}"
        self.permit(permission, f"{full}/versions/{version}")
        if secret is None or not secret["versions"]:
            raise self.not_found(f"Secret [{full}] not found or has no versions.")
        aliases = secret["fields"].get("versionAliases", {})
        number = len(secret["versions"]) if version == "latest" else aliases.get(version, version)
        if not str(number).isdigit() or not 1 <= int(number) <= len(secret["versions"]):
            raise self.not_found(f"Secret Version [{full}/versions/{version}] not found.")
        number = int(number)
        held = secret["versions"][number - 1]
        name = f"{full}/versions/{number}"
        if verb in ("disable", "enable", "destroy"):
            held["state"] = {"disable": "DISABLED", "enable": "ENABLED", "destroy": "DESTROYED"}[verb]
        if verb != "access":
            return self.answer(200, self.shown_version(secret, number))
        if held["state"] != "ENABLED":
            raise self.error(
                400, "FAILED_PRECONDITION", f"Secret Version [{name}] is in {held['state']} state."
            )
        payload = {"dataCrc32c": str(crc32c(held["data"]))}
        if held["data"]:
            payload["data"] = base64.b64encode(held["data"]).decode()
        return self.answer(200, {"name": name, "payload": payload})
