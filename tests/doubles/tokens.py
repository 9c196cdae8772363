"""Keys, signed tokens, and their verification."""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def sign(key, claims, **header):
    head = b64url(json.dumps({"alg": "RS256", "typ": "JWT", **header}).encode())
    message = head + "." + b64url(json.dumps(claims).encode())
    signature = key.sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
    return message + "." + b64url(signature)


def parts(token):
    """Header and claims of what looks like a token, without any verification."""
    try:
        head, body, _ = token.split(".")
        return json.loads(unb64url(head)), json.loads(unb64url(body))
    except (ValueError, AttributeError):
        return None, None


def verified(token, key):
    """The claims, if the signature is that of the key and the token is valid now."""
    header, claims = parts(token)
    if claims is None:
        return None
    message, _, signature = token.rpartition(".")
    paddings = {
        "RS256": padding.PKCS1v15(),
        "PS256": padding.PSS(padding.MGF1(hashes.SHA256()), 32),
    }
    try:
        key.public_key().verify(
            unb64url(signature), message.encode(), paddings[header["alg"]], hashes.SHA256()
        )
    except (InvalidSignature, KeyError, ValueError):
        return None
    now = time.time()
    if not claims.get("nbf", claims.get("iat", 0)) - 60 <= now < claims.get("exp", 0):
        return None
    return claims


def aws_signature_is_valid(request, secret_key):
    """Whether a signed request, as a pool of Google takes it, has the signature of a key of AWS."""
    url = urllib.parse.urlsplit(request["url"])
    headers = {one["key"].lower(): one["value"] for one in request["headers"]}
    fields = dict(
        part.split("=", 1) for part in headers["authorization"].split(" ", 1)[1].replace(" ", "").split(",")
    )
    scope = fields["Credential"].split("/", 1)[1]
    date, region, service, _ = scope.split("/")
    names = fields["SignedHeaders"].split(";")
    if service != "sts" or url.netloc != f"sts.{region}.amazonaws.com" or "host" not in names:
        return False
    query = "&".join(sorted(url.query.split("&")))
    canonical = "\n".join(
        [request["method"], url.path or "/", query]
        + [f"{name}:{headers[name].strip()}" for name in names]
        + ["", ";".join(names), hashlib.sha256(b"").hexdigest()]
    )
    text = "\n".join(
        ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = ("AWS4" + secret_key).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, fields["Signature"])
