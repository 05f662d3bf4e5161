"""Temporary keys of a role: the role of this machine, or a role that the owner of another key may assume.

Sources: the vendor's SDK documentation on instance roles (cloud.tencent.com document/product/598/85616), and
AssumeRole (document/api/1312/48197).
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from airflow_provider_ci.client.errors import CredentialsError
from airflow_provider_ci.client.http.address import is_loopback
from airflow_provider_ci.client.http.deadline import Deadline, begin, timed
from airflow_provider_ci.client.signing import Credentials, CredentialSource

METADATA_URL = "http://metadata.tencentyun.com"
METADATA_HOSTS = frozenset({"metadata.tencentyun.com", "169.254.0.23"})
METADATA_PATH = "/latest/meta-data/cam/security-credentials/"
STS_URL = "https://sts.tencentcloudapi.com"
STS_VERSION = "2018-08-13"
LONGEST_SECONDS = 43_200
"""Maximum lifetime, in seconds, of an assumed role's key."""
TIMEOUT_SECONDS = 3.0
MAX_TEXT = 300
VENDOR_LOG = "tencentcloud_sdk_common"

MAX_BYTES = 64 * 1024
"""Limit in bytes for a response of the metadata address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleKey:
    """A temporary key and the time when it expires, in Unix seconds."""

    credentials: Credentials
    expires: float

    @classmethod
    def from_fields(cls, fields: dict[str, Any], expires: Any) -> RoleKey:
        """Read ``TmpSecretId``, ``TmpSecretKey`` and ``Token``, as the metadata address and STS call them.

        :raises ValueError, KeyError: a field is missing or malformed.
        """
        return cls(
            credentials=Credentials(
                secret_id=fields["TmpSecretId"], secret_key=fields["TmpSecretKey"], token=fields["Token"]
            ),
            expires=float(expires),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRole:
    """The role that is bound to this machine, read from the machine's metadata address.

    :param role_name: name of the role; None reads the name from the metadata address.
    :param url: URL of the metadata address; only plain HTTP to that address or to this machine is allowed.
    """

    role_name: str | None = None
    url: str = METADATA_URL

    def __post_init__(self) -> None:
        url = urlsplit(self.url)
        host = url.hostname or ""
        # The response is a key in plain text, so it must come from the metadata address.
        if url.scheme != "http" or url.username or not (host in METADATA_HOSTS or is_loopback(host)):
            raise ValueError(
                f"metadata_url must be http:// to {', '.join(sorted(METADATA_HOSTS))} or this machine, "
                f"not to {host or self.url!r}"
            )

    def fetch(self) -> RoleKey:
        """Fetch the role's current key.

        :raises CredentialsError: the metadata address does not respond, or returned no key.
        """
        role = self.role_name or self._get("").strip()
        if not role:
            raise self._error("it returns no role name", is_retryable=False)
        text = self._get(quote(role, ""))
        try:
            answer = json.loads(text)
            if answer.get("Code") != "Success":
                raise self._error(
                    f"for role {role!r} its code is {answer.get('Code')!r}, not 'Success'", is_retryable=False
                )
            return RoleKey.from_fields(answer, answer["ExpiredTime"])
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            # The message omits the response, because a part of it may be a key.
            raise self._error(f"its response for role {role!r} holds no key", is_retryable=True) from None

    def _get(self, name: str) -> str:
        url = f"{self.url.rstrip('/')}{METADATA_PATH}{name}"
        try:
            status, body = _get(url)
        except urllib3.exceptions.HTTPError as error:
            raise self._error(str(error).rstrip("."), is_retryable=True) from error
        if status != 200:
            raise self._error(f"{url} answers {status}", is_retryable=status >= 500)
        return body.decode("utf-8", "replace")

    def _error(self, reason: str, *, is_retryable: bool) -> CredentialsError:
        return CredentialsError(
            f"no key from the machine's role (metadata address {self.url}): {reason}. "
            "Bind a role to this machine, or use another source of credentials.",
            is_retryable=is_retryable,
        )


def _get(url: str) -> tuple[int, bytes]:
    """Send a request to the metadata address, over plain HTTP without a proxy, and with a deadline."""
    place = urlsplit(url)
    # The requests library is not used: it would show the key to a proxy that the environment names.
    with urllib3.HTTPConnectionPool(place.hostname or "", place.port) as pool:
        pool.ConnectionCls = timed(pool.ConnectionCls)
        begin(Deadline(TIMEOUT_SECONDS, TIMEOUT_SECONDS))
        answer = pool.request(
            "GET",
            place.path,
            timeout=urllib3.Timeout(total=TIMEOUT_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        return answer.status, answer.read(MAX_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumedRole:
    """A role that the key of ``source`` may assume; needs the vendor's package (the extra ``role``).

    :param role_arn: name of the role, such as ``qcs::cam::uin/100000000001:roleName/converter``.
    :param session_name: the name that the audit log shows.
    :param duration_seconds: lifetime of each key, at most 12 hours; the role may have a lower limit.
    :param region: region of the STS endpoint.
    :param url: URL of STS; plain HTTP is allowed only to this machine.
    :param verify: False to trust any certificate, or the path of a bundle of trusted ones.
    """

    role_arn: str
    source: CredentialSource
    session_name: str = "airflow-provider-ci"
    duration_seconds: int = 7200
    region: str = "ap-guangzhou"
    url: str = STS_URL
    verify: bool | str = field(default=True, repr=False)

    def __post_init__(self) -> None:
        if not self.role_arn.startswith("qcs::cam::"):
            raise ValueError(
                f"role_arn must look like qcs::cam::uin/<uin>:roleName/<name>, not {self.role_arn!r}"
            )
        if not 1 <= self.duration_seconds <= LONGEST_SECONDS:
            raise ValueError(
                f"duration_seconds must be 1 to {LONGEST_SECONDS}, not {self.duration_seconds!r}"
            )
        url = urlsplit(self.url)
        host = url.hostname or ""
        is_safe = url.scheme == "https" or (url.scheme == "http" and is_loopback(host))
        if url.username or not host or not is_safe:
            raise ValueError(f"sts_url must be an https:// address, not {url.scheme}://{host}")

    def fetch(self) -> RoleKey:
        """Fetch a new key of the role (AssumeRole).

        :raises CredentialsError: STS is unreachable or refused, or the vendor's package is not installed.
        """
        try:
            from tencentcloud.common.exception.tencent_cloud_sdk_exception import (  # type: ignore[import-untyped]
                TencentCloudSDKException,
            )
        except ImportError:
            raise self._error(
                "the package tencentcloud-sdk-python-common is not installed; "
                "install airflow-provider-ci[role]",
                is_retryable=False,
            ) from None
        try:
            answer = self._assume()["Response"]
            return RoleKey.from_fields(answer["Credentials"], answer["ExpiredTime"])
        except TencentCloudSDKException as error:
            said = f"{error.get_code()}: {str(error.get_message())[:MAX_TEXT]}"
            raise self._error(
                f"{said} (request id {error.get_request_id() or 'none'}). "
                "Check the key that assumes it, the role's name and whom it trusts",
                is_retryable=error.get_code() in ("ClientNetworkError", "ServerNetworkError"),
            ) from error
        except (KeyError, TypeError, ValueError):
            raise self._error("the response holds no key", is_retryable=True) from None

    def _assume(self) -> Any:
        from tencentcloud.common.common_client import CommonClient  # type: ignore[import-untyped]
        from tencentcloud.common.credential import Credential  # type: ignore[import-untyped]
        from tencentcloud.common.profile.client_profile import (  # type: ignore[import-untyped]
            ClientProfile,
        )
        from tencentcloud.common.profile.http_profile import HttpProfile  # type: ignore[import-untyped]

        # At DEBUG the package logs whole responses, new keys included.
        logging.getLogger(VENDOR_LOG).setLevel(logging.INFO)
        url, key = urlsplit(self.url), self.source.current()
        http = HttpProfile(
            protocol=url.scheme,
            endpoint=url.netloc,
            reqTimeout=TIMEOUT_SECONDS,
            certification=None if self.verify is True else self.verify,
        )
        client = CommonClient(
            "sts",
            STS_VERSION,
            Credential(key.secret_id, key.secret_key, key.token),
            self.region,
            profile=ClientProfile(httpProfile=http),
        )
        wanted = {
            "RoleArn": self.role_arn,
            "RoleSessionName": self.session_name,
            "DurationSeconds": self.duration_seconds,
        }
        return client.call_json("AssumeRole", wanted)

    def _error(self, reason: str, *, is_retryable: bool) -> CredentialsError:
        return CredentialsError(
            f"cannot assume role {self.role_arn} at {self.url}: {reason}.", is_retryable=is_retryable
        )
