"""The vendor's own clients on the double of Azure: what they find there is what our client is tested with."""

import base64
import datetime
import json
import os
import sys
import urllib.request

from azure.containerregistry import ContainerRegistryClient
from azure.core import exceptions
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm
from azure.keyvault.secrets import SecretClient

PLAIN = sys.argv[1]
VAULT = "https://shop.vault.azure.net"


def control(what, body=None):
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(f"{PLAIN}/control/{what}", data=data, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(kind, text, work, *arguments, **more):
    try:
        result = work(*arguments, **more)
        list(result) if hasattr(result, "__next__") else None
    except kind as error:
        assert text in str(error), error
        return
    raise AssertionError(f"{kind} was expected")


control("reset")
client = control("azure/client")
folder = os.environ["DOUBLE_FOLDER"]
credential = ClientSecretCredential(client["tenant"], client["client"], client["secret"])
secrets = SecretClient(VAULT, credential, retry_total=0)
refused(exceptions.ResourceNotFoundError, "SecretNotFound", secrets.get_secret, "one")
first = secrets.set_secret("one", "first", tags={"team": "web"}, content_type="text/plain")
second = secrets.set_secret("one", "second")
assert secrets.get_secret("one").value == "second"
assert secrets.get_secret("one", first.properties.version).value == "first"
assert secrets.get_secret("one", first.properties.version).properties.tags == {"team": "web"}
refused(exceptions.ResourceNotFoundError, "SecretNotFound", secrets.get_secret, "one", "0" * 32)
secrets.set_secret("off", "x", enabled=False)
refused(exceptions.HttpResponseError, "SecretDisabled", secrets.get_secret, "off")
until = datetime.datetime(2030, 1, 2, 15, 4, 5, tzinfo=datetime.timezone.utc)
secrets.set_secret("until", "x", expires_on=until)
assert secrets.get_secret("until").properties.expires_on == until
for number in range(60):
    secrets.set_secret(f"many-{number:02}", str(number), tags={"set": str(number % 2)})
pages = list(secrets.list_properties_of_secrets().by_page())
assert [len(list(page)) for page in pages] == [25, 25, 13]
secrets.begin_delete_secret("one").wait()
refused(exceptions.ResourceNotFoundError, "SecretNotFound", secrets.get_secret, "one")
refused(exceptions.HttpResponseError, "Conflict", secrets.set_secret, "one", "again")
secrets.begin_recover_deleted_secret("one").wait()
assert secrets.get_secret("one").value == "second"
secrets.begin_delete_secret("one").wait()
secrets.purge_deleted_secret("one")
secrets.set_secret("one", "again")

control("deny", ["secrets/get"])
refused(exceptions.HttpResponseError, "Forbidden", secrets.get_secret, "one")
control("deny", [])
control("fault", {"throttled": 1, "retry_after": 0})
refused(exceptions.HttpResponseError, "Throttled", secrets.get_secret, "one")
assert secrets.get_secret("one").value == "again"
elsewhere = SecretClient("https://other.vault.azure.net", credential, retry_total=0)
refused(exceptions.ResourceNotFoundError, "SecretNotFound", elsewhere.get_secret, "one")

wrong = ClientSecretCredential(client["tenant"], client["client"], "wrong")
refused(exceptions.ClientAuthenticationError, "AADSTS7000215", SecretClient(VAULT, wrong).get_secret, "one")
certificate = CertificateCredential(client["tenant"], client["client"], certificate_data=client["pem"].encode())
assert SecretClient(VAULT, certificate).get_secret("one").value == "again"
pfx = base64.b64decode(client["pfx"])
certificate = CertificateCredential(client["tenant"], client["client"], certificate_data=pfx)
assert SecretClient(VAULT, certificate).get_secret("one").value == "again"
assertion = control("azure/outside-token", {"aud": "api://AzureADTokenExchange"})["token"]
trusted = ClientAssertionCredential(client["tenant"], client["client"], lambda: assertion)
assert SecretClient(VAULT, trusted).get_secret("one").value == "again"
other = control("azure/outside-token", {"aud": "someone else"})["token"]
foreign = ClientAssertionCredential(client["tenant"], client["client"], lambda: other)
refused(exceptions.ClientAuthenticationError, "AADSTS700212", SecretClient(VAULT, foreign).get_secret, "one")
assert SecretClient(VAULT, ManagedIdentityCredential()).get_secret("one").value == "again"

keys = KeyClient(VAULT, credential, retry_total=0)
old = keys.create_rsa_key("files")
new = keys.create_rsa_key("files")
assert keys.get_key("files").id == new.id and old.properties.version != new.properties.version
blob = CryptographyClient(old, credential).encrypt(EncryptionAlgorithm.rsa_oaep_256, b"\x07" * 32)
plain = CryptographyClient(old, credential).decrypt(EncryptionAlgorithm.rsa_oaep_256, blob.ciphertext)
assert plain.plaintext == b"\x07" * 32
refused(
    exceptions.HttpResponseError, "BadParameter", CryptographyClient(new, credential).decrypt,
    EncryptionAlgorithm.rsa_oaep_256, blob.ciphertext,
)
refused(exceptions.ResourceNotFoundError, "KeyNotFound", keys.get_key, "none")

certificates = CertificateClient(VAULT, credential, retry_total=0)
made = certificates.import_certificate("web", pfx)
assert certificates.get_certificate("web").cer == made.cer
assert certificates.import_certificate("web", client["pem"].encode()).cer == made.cer
refused(exceptions.ResourceNotFoundError, "CertificateNotFound", certificates.get_certificate, "none")
refused(exceptions.HttpResponseError, "BadParameter", certificates.import_certificate, "web", b"none")

def catalog(signed_in):
    audience = "https://management.azure.com"
    registry = ContainerRegistryClient("https://shop.azurecr.io", signed_in, audience=audience, retry_total=0)
    return list(registry.list_repository_names())


assert catalog(credential) == ["web"]
assert catalog(ManagedIdentityCredential()) == ["web"]
refused(exceptions.ClientAuthenticationError, "AADSTS7000215", catalog, wrong)
control("reset")
print("proved")
