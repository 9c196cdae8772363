"""Google Cloud Storage: objects of buckets, uploaded in one request or in parts."""

import base64
import hashlib
import json
import re

from google_crc32c import value as crc32c

UPLOAD = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
OBJECT = re.compile(r"/(download/)?storage/v1/b/([^/]+)/o/(.+)")


class Storage:
    def __init__(self, google):
        self.google, self.answer = google, google.answer
        # By bucket and name.
        self.objects = {}
        self.buckets = {"shop-files"}

    def reset(self):
        self.objects = {}

    def error(self, status, reason, message):
        error = {"code": status, "message": message, "errors": [{"message": message, "domain": "global", "reason": reason}]}
        return self.answer(status, {"error": error})

    def permit(self, permission, bucket):
        if self.google.switches.refuses(permission):
            raise self.error(403, "forbidden", f"robot does not have {permission} access to {bucket}.")

    def serve(self, request):
        self.google.principal(request)
        upload, one = UPLOAD.fullmatch(request.path), OBJECT.fullmatch(request.path)
        bucket = upload[1] if upload else one[2] if one else None
        if bucket not in self.buckets:
            raise self.error(404, "notFound", "The specified bucket does not exist.")
        if upload and request.method == "POST":
            self.permit("storage.objects.create", bucket)
            return self.upload(bucket, request)
        if one and request.method == "GET":
            self.permit("storage.objects.get", bucket)
            return self.read(bucket, one[3], request)
        raise self.error(404, "notFound", "Not Found")

    def upload(self, bucket, request):
        kind, name, body = request.query.get("uploadType"), request.query.get("name"), request.body
        content_type = request.headers.get("Content-Type", "")
        if kind == "multipart":
            boundary = re.search(r'boundary="?([^";]+)"?', content_type)[1].encode()
            parts = [part for part in body.split(b"--" + boundary)[1:-1]]
            head, content = (part.lstrip(b"\r\n").split(b"\r\n\r\n", 1) for part in parts)
            described = json.loads(head[1])
            name = name or described["name"]
            body = content[1].removesuffix(b"\r\n")
            content_type = re.search(rb"(?i)content-type: *([^\r\n]+)", content[0])[1].decode()
        elif kind != "media":
            raise self.error(400, "invalid", "Unknown uploadType.")
        if not name:
            raise self.error(400, "required", "Required parameter: name")
        self.objects[(bucket, name)] = (body, content_type)
        return self.answer(200, self.described(bucket, name))

    def read(self, bucket, name, request):
        if (bucket, name) not in self.objects:
            raise self.error(404, "notFound", f"No such object: {bucket}/{name}")
        if request.query.get("alt") == "media":
            body, kind = self.objects[(bucket, name)]
            return self.answer(200, body, {"Content-Type": kind, "X-Goog-Hash": f"crc32c={self.checksum(body)}"})
        return self.answer(200, self.described(bucket, name))

    def checksum(self, body):
        return base64.b64encode(crc32c(body).to_bytes(4, "big")).decode()

    def described(self, bucket, name):
        body, kind = self.objects[(bucket, name)]
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/1",
            "name": name,
            "bucket": bucket,
            "generation": "1",
            "contentType": kind,
            "size": str(len(body)),
            "md5Hash": base64.b64encode(hashlib.md5(body).digest()).decode(),
            "crc32c": self.checksum(body),
        }

    def control(self, what, body):
        if what == "object":
            held = self.objects.get((body["bucket"], body["name"]))
            return {"text": held and held[0].decode()}
        return {}
