"""What boto3 finds for a run: credentials, profile, region, certificates; and its client for S3.

What works with the aws command works here, because botocore's session finds all of it. A session
costs little. A client reads the model of all of S3 and the rules for its endpoints, which takes as
long as a thousand puts. So it is made when it is first needed (`client`).

Owns: the session, and how its client is set up. Does not know: requests.

Rejected: one session for both where the environment gives the keys. The handlers that botocore
registers for all its services cost a tenth of the start, and only clients need them. A profile may
need them too, for the clients that ask for its credentials.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scraper.model.authorities import authorities
from scraper.sinks.base import SinkOptions
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.addresses import race_addresses
from scraper.sinks.s3.corrections import correct
from scraper.sinks.s3.credential_process import tell_of_it
from scraper.sinks.s3.endpoint import USUAL_REGION, Way, plain_way
from scraper.sinks.s3.parts import PART_WORKERS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class Session:
    """See the module. Its methods raise what botocore raises.

    `authority`: the file or directory of authorities (PEM) that is named, if any. What is
    configured for S3 alone (AWS_CA_BUNDLE) wins.
    """

    def __init__(self, options: SinkOptions, attempts: int) -> None:
        from botocore.session import Session as Core

        self._options = options
        self._attempts = attempts
        profile = options.s3.profile
        self._keys_given = profile is None and all(os.environ.get(name) for name in _KEYS)
        self._core = Core(include_builtin_handlers=not self._keys_given)
        if profile is not None:
            self._core.set_config_variable("profile", profile)
        named = authorities(options.cacert, os.environ)
        path = None if named is None else named.file or named.directory
        if not self._keys_given:
            tell_of_it(self._core)
        self.authority: str | None = self._core.get_config_variable("ca_bundle") or path

    def credentials(self) -> Any:
        """Botocore's credentials, which may be renewed; None if there are none."""
        try:
            return self._core.get_credentials()
        except ValueError as error:  # of the words of a command, say
            from botocore.exceptions import CredentialRetrievalError

            source = "the environment" if self._keys_given else "profile"
            raise CredentialRetrievalError(provider=source, error_msg=str(error)) from None

    def plain_way(self, bucket: str) -> Way | None:
        """See `endpoint.plain_way`."""
        return plain_way(self._core, bucket, self._options.s3.endpoint)

    def client(self, may_send: Callable[[], None]) -> "S3Client":
        """A new client. For endpoints that are not Amazon's, botocore chooses path style.

        `may_send`: see `race_addresses`.
        """
        import boto3
        from botocore.config import Config
        from botocore.session import Session as Core

        core, keys, found = self._core, {}, self.credentials()
        if self._keys_given:
            core = Core()
            s3errors.refuse_unsendable(found.access_key, found.token)
            keys = {
                "aws_access_key_id": found.access_key,
                "aws_secret_access_key": found.secret_key,
                "aws_session_token": found.token,
            }
        session = boto3.session.Session(botocore_session=core, **keys)
        config = Config(
            connect_timeout=s3errors.CONNECT_TIMEOUT_S,
            read_timeout=s3errors.READ_TIMEOUT_S,
            max_pool_connections=self._options.max_concurrency + PART_WORKERS + 1,  # 1: manifest
            retries={"total_max_attempts": self._attempts, "mode": "standard"},
            request_checksum_calculation="when_required",  # some endpoints store the framing
            response_checksum_validation="when_required",
        )
        made = session.client(
            "s3",
            session.region_name or USUAL_REGION,
            endpoint_url=self._options.s3.endpoint,
            config=config,
            verify=self.authority,
        )
        return correct(race_addresses(made, may_send))
