"""The vendor's own clients on the double of Google: what they find there is what our client is tested with."""

import json
import os
import sys
import urllib.request

import google.auth
import google.oauth2.credentials
from google.api_core import exceptions
from google.auth import impersonated_credentials
from google.auth.compute_engine import Credentials as Machine
from google.auth.transport.requests import Request
from google.cloud import kms_v1, secretmanager_v1, storage
from google.oauth2 import service_account

PLAIN = sys.argv[1]
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def control(what, body=None):
    data = json.dumps(body or {}).encode()
    request = urllib.request.Request(f"{PLAIN}/control/{what}", data=data, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(kind, text, work, *arguments, **more):
    try:
        work(*arguments, **more)
    except kind as error:
        assert text in str(error), error
        return
    raise AssertionError(f"{kind} was expected")


control("reset")
account = control("google/account")
credentials = service_account.Credentials.from_service_account_info(account, scopes=SCOPES)
credentials.refresh(Request())
wrong = service_account.Credentials.from_service_account_info(
    {**account, "client_email": "other@shop.iam.gserviceaccount.com"}, scopes=SCOPES
)
refused(google.auth.exceptions.RefreshError, "invalid_grant", wrong.refresh, Request())

client = secretmanager_v1.SecretManagerServiceClient(credentials=credentials, transport="rest")
parent = "projects/shop"
replication = {"automatic": {}}
labels = {"team": "web"}
made = client.create_secret(
    parent=parent, secret_id="one", secret={"replication": replication, "labels": labels, "annotations": {"a": "b"}}
)
assert made.name == "projects/123456789012/secrets/one" and made.etag
refused(
    exceptions.Conflict, "already exists", client.create_secret,
    parent=parent, secret_id="one", secret={"replication": replication},
)
refused(exceptions.NotFound, "not found or has no versions", client.access_secret_version, name=f"{made.name}/versions/latest")
for number, text in enumerate([b"first", b"second"], 1):
    added = client.add_secret_version(parent=made.name, payload={"data": text})
    assert added.name == f"{made.name}/versions/{number}"


def read(version, name="one"):
    return client.access_secret_version(name=f"{parent}/secrets/{name}/versions/{version}").payload.data


assert read("latest") == b"second" and read(1) == b"first"
client.update_secret(
    secret={"name": made.name, "version_aliases": {"stable": 1}}, update_mask={"paths": ["version_aliases"]}
)
assert read("stable") == b"first"
refused(exceptions.NotFound, "Secret Version [", read, 9)
refused(exceptions.NotFound, "Secret [projects/123456789012/secrets/none] not found", read, "latest", "none")
client.disable_secret_version(name=f"{made.name}/versions/2")
refused(exceptions.BadRequest, "DISABLED state", read, "latest")
enabled = client.list_secret_versions(request={"parent": made.name, "filter": "state:ENABLED"})
assert [version.name for version in enabled] == [f"{made.name}/versions/1"]
client.destroy_secret_version(name=f"{made.name}/versions/2")
refused(exceptions.BadRequest, "DESTROYED state", read, "latest")

for number in range(7):
    secret = {"replication": replication, "labels": {"set": str(number % 2)}}
    client.create_secret(parent=parent, secret_id=f"many-{number}", secret=secret)
pages = list(client.list_secrets(request={"parent": parent, "page_size": 3}).pages)
assert [len(page.secrets) for page in pages] == [3, 3, 2]
found = client.list_secrets(request={"parent": parent, "filter": "name:many labels.set=1"})
assert sorted(secret.name[-6:] for secret in found) == ["many-1", "many-3", "many-5"]

there = client.get_secret(name=f"{parent}/secrets/one")
assert dict(there.labels) == labels and dict(there.annotations) == {"a": "b"}
updated = client.update_secret(
    secret={"name": made.name, "labels": {"team": "db"}, "etag": there.etag}, update_mask={"paths": ["labels"]}
)
assert dict(updated.labels) == {"team": "db"} and updated.etag != there.etag
refused(
    exceptions.BadRequest, "etag", client.delete_secret,
    request={"name": made.name, "etag": there.etag},
)
client.delete_secret(request={"name": made.name, "etag": updated.etag})
refused(exceptions.NotFound, "not found", client.get_secret, name=made.name)

regional = secretmanager_v1.SecretManagerServiceClient(
    credentials=credentials,
    transport="rest",
    client_options={"api_endpoint": "secretmanager.europe-west1.rep.googleapis.com"},
)
place = f"{parent}/locations/europe-west1"
here = regional.create_secret(parent=place, secret_id="here", secret={"labels": {"a": "b"}})
regional.add_secret_version(parent=here.name, payload={"data": b"here"})
name = f"{place}/secrets/here/versions/latest"
assert regional.access_secret_version(name=name).payload.data == b"here"

control("deny", ["secretmanager.versions.access"])
refused(exceptions.Forbidden, "secretmanager.versions.access", read, "latest", "many-1")
control("deny", [])
control("fault", {"throttled": 1})
refused(exceptions.TooManyRequests, "Quota", client.get_secret, name=f"{parent}/secrets/many-1", retry=None)
control("google/forget-tokens")
stale = secretmanager_v1.SecretManagerServiceClient(
    credentials=google.oauth2.credentials.Credentials("made-up"), transport="rest"
)
# A client that was refused wants another token, and this one cannot get any.
refused(google.auth.exceptions.RefreshError, "refresh", stale.get_secret, name=f"{parent}/secrets/many-1", retry=None)

credentials.refresh(Request())
acting = impersonated_credentials.Credentials(
    credentials, target_principal="other@shop.iam.gserviceaccount.com", target_scopes=SCOPES
)
acting.refresh(Request())
machine = Machine()
machine.refresh(Request())
assert machine.token and machine.service_account_email == "machine@shop.iam.gserviceaccount.com"
audience = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool/providers/provider"
folder = os.environ["DOUBLE_FOLDER"]
with open(f"{folder}/outside.jwt", "w") as file:
    file.write(control("google/outside-token", {"aud": audience})["token"])
config = {
    "type": "external_account",
    "audience": audience,
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "token_url": "https://sts.googleapis.com/v1/token",
}
federated, _ = google.auth.load_credentials_from_dict(
    {**config, "credential_source": {"file": f"{folder}/outside.jwt"}}, scopes=SCOPES
)
federated.refresh(Request())
os.environ.update(
    AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE", AWS_SECRET_ACCESS_KEY="made-for-tests", AWS_REGION="eu-west-1"
)
aws = {
    **config,
    "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
    "credential_source": {
        "environment_id": "aws1",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    },
}
signed, _ = google.auth.load_credentials_from_dict(aws, scopes=SCOPES)
signed.refresh(Request())
os.environ["AWS_SECRET_ACCESS_KEY"] = "wrong"
# It asks for the project at once, and so for a token.
refused(google.auth.exceptions.OAuthError, "invalid_grant", google.auth.load_credentials_from_dict, aws, scopes=SCOPES)

keys = kms_v1.KeyManagementServiceClient(credentials=federated, transport="rest")
key = "projects/shop/locations/global/keyRings/ring/cryptoKeys/files"
other = f"{key}-other"
control("google/key", {"name": key})
control("google/key", {"name": other})
blob = keys.encrypt(name=key, plaintext=b"\x07" * 32).ciphertext
control("google/rotate-key", {"name": key})
assert keys.decrypt(name=key, ciphertext=blob).plaintext == b"\x07" * 32
refused(exceptions.BadRequest, "correct CryptoKey", keys.decrypt, name=other, ciphertext=blob)
refused(exceptions.NotFound, "not found", keys.encrypt, name=f"{key}-none", plaintext=b"x")
control("google/disable-key", {"name": key, "version": 1})
refused(exceptions.BadRequest, "not enabled", keys.decrypt, name=key, ciphertext=blob)

bucket = storage.Client(project="shop", credentials=credentials).bucket("shop-files")
bucket.blob("a/b.yaml").upload_from_string("content")
assert bucket.blob("a/b.yaml").download_as_bytes() == b"content"
assert control("google/object", {"bucket": "shop-files", "name": "a/b.yaml"})["text"] == "content"
refused(exceptions.NotFound, "No such object", bucket.blob("none").download_as_bytes)
elsewhere = storage.Client(project="shop", credentials=credentials).bucket("none")
refused(exceptions.NotFound, "bucket does not exist", elsewhere.blob("x").upload_from_string, "x")
control("deny", ["storage.objects.create"])
refused(exceptions.Forbidden, "storage.objects.create", bucket.blob("x").upload_from_string, "x")
control("reset")
print("proved")
