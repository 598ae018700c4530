"""A store in an S3 bucket, by s3fs. Region, keys and endpoint are the usual AWS settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, StoreError, UsageError, first_line
from pipeline.patience import Patience
from pipeline.sharing.names import fault_of_path
from pipeline.sharing.remote import Remote
from pipeline.sharing.trouble import AbsentError, RemoteError

if TYPE_CHECKING:
    from s3fs import S3FileSystem

PART = 16 << 20
"""Bytes of one part of a large object, and of one request for a part of it; S3 wants ≥ 5 MiB."""

_REQUEST_TIMEOUTS = 4
"""Waits that a request may take as long as all together, besides its bytes."""
_SLOWEST = 32 << 10
"""Bytes per second below which a request is given up."""

_DIGEST = "blake3"
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_FINAL = frozenset(
    {"403", "AccessDenied", "NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
    | {"AllAccessDisabled", "InvalidBucketName", "ExpiredToken", "InvalidToken", "401"}
)


class S3Remote(Remote):
    """A prefix of a bucket.

    An object appears whole or not at all, with its blake3 among its metadata.
    """

    writable = True
    lists = True

    def __init__(self, url: str, patience: Patience) -> None:
        super().__init__(url, patience)
        self._bucket, _, prefix = url.partition("://")[2].partition("/")
        prefix = prefix.strip("/")
        if not self._bucket or "?" in url:
            message = f"{url}: write s3://BUCKET or s3://BUCKET/PREFIX"
            raise UsageError(message)
        if prefix and (fault := fault_of_path(prefix)):
            message = f"{url}: {fault}"
            raise UsageError(message)
        self._prefix = f"{prefix}/" if prefix else ""

    @cached_property
    def _fs(self) -> S3FileSystem:
        try:
            from s3fs import S3FileSystem
        except ImportError as error:
            message = f"{self.url}: {error}: install it with: pip install s3fs"
            raise StoreError(message) from error
        settings = {
            # Attempts are counted in one place, which names the object.
            "retries": {"total_max_attempts": 1},
            "connect_timeout": self.patience.connect_timeout,
            "read_timeout": self.patience.read_timeout,
        }
        opened = S3FileSystem(
            config_kwargs=settings, use_listings_cache=False, skip_instance_cache=True
        )
        opened.retries = 1
        return opened

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Be ready; nothing is staged in a bucket."""
        yield

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the bytes of every object below a prefix."""
        prefix = self._prefix + (f"{folder}/" if folder else "")
        found: dict[str, int] = {}
        more: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=prefix, **more)
            for entry in page.get("Contents", ()):
                name = str(entry["Key"]).removeprefix(self._prefix)
                if name and not name.endswith("/"):  # what some tools leave for a folder
                    found[name] = int(entry["Size"])
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def pieces(self, path: str, nbytes: int | None) -> Iterator[bytes]:
        """Yield the content of an object, a range at a time, each tried again by itself."""
        address = f"{self._bucket}/{self._key(path)}"

        def part(start: int, stop: int) -> bytes:
            with _told():
                limit = self._seconds(stop - start)
                data = bytes(self._fs.cat_file(address, start=start, end=stop, timeout=limit))
            if nbytes is not None and len(data) != stop - start:
                reason = f"cut short: {start + len(data)} of {nbytes} bytes"
                raise RemoteError(reason, wrong=True)
            return data

        if nbytes is None:
            with _told():
                yield self._fs.cat_file(address, timeout=self._seconds(PART))
            return
        if nbytes <= PART:
            yield part(0, nbytes) if nbytes else b""
            return
        for start in range(0, nbytes, PART):
            stop = min(nbytes, start + PART)
            yield self.keep_trying(path, partial(part, start, stop))

    def recorded_digest(self, path: str) -> str | None:
        """Return the blake3 that was recorded with an object when it was sent."""
        try:
            found = self._ask("head_object", Key=self._key(path))
        except AbsentError:
            return None
        digest = found.get("Metadata", {}).get(_DIGEST)
        return None if digest is None else str(digest)

    def send(self, path: str, pieces: Iterable[bytes], nbytes: int, digest: str) -> None:
        """Put an object, a large one in parts that become an object together."""
        key, metadata = self._key(path), {_DIGEST: digest}
        if nbytes <= PART:
            self._ask("put_object", Key=key, Body=b"".join(pieces), Metadata=metadata)
            return
        started = self._ask("create_multipart_upload", Key=key, Metadata=metadata)
        upload = {"Key": key, "UploadId": started["UploadId"]}
        parts: list[dict[str, Any]] = []
        try:
            for number, body in enumerate(_regrouped(pieces), 1):
                sent = self.keep_trying(
                    path,
                    partial(self._ask, "upload_part", PartNumber=number, Body=body, **upload),
                )
                parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            self._ask("complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload)
        except BaseException:
            with contextlib.suppress(RemoteError):
                self._ask("abort_multipart_upload", **upload)
            raise

    def replace(self, path: str, data: bytes) -> None:
        """Put a small object."""
        self._ask("put_object", Key=self._key(path), Body=data)

    def _key(self, path: str) -> str:
        return self._prefix + path

    def _ask(self, method: str, **options: object) -> dict[str, Any]:
        fs, body = self._fs, options.get("Body", b"")
        limit = self._seconds(len(body) if isinstance(body, bytes) else 0)
        with _told():
            return dict(fs.call_s3(method, Bucket=self._bucket, timeout=limit, **options))

    def _seconds(self, nbytes: int) -> float:
        """Return how long a request may take at most.

        Some waits have no limit of their own, as that for a leave to send a body.
        """
        return _REQUEST_TIMEOUTS * self.patience.read_timeout + nbytes / _SLOWEST


def _regrouped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in parts of one size."""
    part = bytearray()
    for piece in pieces:
        part += piece
        while len(part) >= PART:
            yield bytes(part[:PART])
            del part[:PART]
    if part:
        yield bytes(part)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what S3 and the network do into one reason."""
    from botocore.exceptions import NoCredentialsError

    try:
        yield
    except (RemoteError, PipelineError):
        raise
    except NoCredentialsError as error:
        reason = (
            "no AWS keys were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY; for a public bucket FSSPEC_S3='{\"anon\": true}'"
        )
        raise RemoteError(reason, final=True) from error
    except Exception as error:  # each of the layers below raises errors of its own
        raise _reason(error) from error


def _reason(error: Exception) -> RemoteError:
    from aiohttp import ClientPayloadError
    from botocore.exceptions import ChecksumError, FlexibleChecksumError, IncompleteReadError

    cause: BaseException | None = error
    while cause is not None and not isinstance(getattr(cause, "response", None), Mapping):
        cause = cause.__cause__
    code = str(cause.response.get("Error", {}).get("Code", "")) if cause is not None else ""  # type: ignore[attr-defined]
    text = first_line(error)
    if _came_of(error, ChecksumError, FlexibleChecksumError):
        return RemoteError("its bytes do not match the checksum that S3 has of it", wrong=True)
    if _came_of(error, ClientPayloadError, IncompleteReadError):
        return RemoteError("cut short: the answer ended too early", wrong=True)
    if code == "NoSuchBucket":
        return RemoteError("there is no such bucket", final=True)
    if code in _ABSENT or (isinstance(error, FileNotFoundError) and not code):
        return AbsentError("there is no such object")
    if isinstance(error, TimeoutError):
        text = "the server does not answer in time"
    return RemoteError(text, final=code in _FINAL or isinstance(error, PermissionError))


def _came_of(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    """Tell whether an error, or what it was raised from, is of one of these kinds."""
    while error is not None and not isinstance(error, kinds):
        error = error.__cause__ or error.__context__
    return error is not None
