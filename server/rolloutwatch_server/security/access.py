"""Everything that decides who gets in, put together, and put around an application."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI

from rolloutwatch_server.security.gate import Gate, make_gate
from rolloutwatch_server.security.guard import Guard
from rolloutwatch_server.security.headers import SecurityHeaders
from rolloutwatch_server.security.hosts import LOCAL, KnownHosts
from rolloutwatch_server.security.ledger import FILE, Ledger
from rolloutwatch_server.security.limits import BodyLimits, HeadLimits
from rolloutwatch_server.security.origins import Origins, parts_of
from rolloutwatch_server.security.peers import Proxies
from rolloutwatch_server.security.roles import Role
from rolloutwatch_server.security.secret import Secret
from rolloutwatch_server.security.streams import DEFAULT_MOST, DEFAULT_MOST_PER_CLIENT, StreamLimits
from rolloutwatch_server.settings import TOKENS_VARIABLE, Settings

SECONDS_OF_THE_FIRST_LINK = 900.0


@dataclass(frozen=True)
class Access:
    """Names that are answered to (None: any), and the gate (None: nobody is asked, which is for one host alone)."""

    hosts: Sequence[str] | None = None
    public_url: str | None = None
    gate: Gate | None = None
    proxies: Proxies = field(default_factory=Proxies)
    most_streams: int = DEFAULT_MOST
    most_streams_per_client: int = DEFAULT_MOST_PER_CLIENT

    def surround(self, app: FastAPI, script_hashes: Sequence[str]) -> None:
        """Put all of it around an application, after everything else: what is put around last is passed first."""
        app.add_middleware(BodyLimits)
        app.add_middleware(
            StreamLimits,
            most=self.most_streams,
            most_per_client=self.most_streams_per_client,
            proxies=self.proxies,
        )
        if self.gate is not None:
            app.add_middleware(Guard, gate=self.gate)
        app.add_middleware(Origins, public_url=self.public_url)
        if self.hosts is not None:
            app.add_middleware(KnownHosts, names=self.hosts)
        app.add_middleware(HeadLimits)
        app.add_middleware(SecurityHeaders, script_hashes=script_hashes)

    def has_links_alone(self) -> bool:
        """Whether nobody has a token or a password, so that the first one can only come by a link."""
        return self.gate is not None and not self.gate.has_tokens() and not self.gate.passwords()

    def first_link(self, url: str) -> str | None:
        """Return a link that makes its first user admin; None where nobody is asked."""
        if self.gate is None:
            return None
        return link_to(url, self.gate.ledger.new_link(Role.ADMIN, SECONDS_OF_THE_FIRST_LINK))


def link_to(url: str, secret: Secret) -> str:
    """Return the URL of a login link, which whoever sees it first can use."""
    return f"{url}/login?link={secret.reveal()}"


@contextmanager
def opened(settings: Settings, environment: Mapping[str, str]) -> Iterator[Access]:
    """Read tokens and passwords and open the file of sessions; AccessError if one cannot be used."""
    proxies = Proxies(settings.proxy_peers, settings.proxy_name_header, settings.proxy_role_header)
    public = None if settings.public_url is None else parts_of(settings.public_url)
    names = [settings.host, *LOCAL, *settings.allowed_hosts, *([] if public is None else [public[1]])]
    limits = (settings.streams, settings.streams_per_client)
    if not settings.asks_for_login:
        yield Access(names, settings.public_url, None, proxies, *limits)
        return
    tokens = environment.get(TOKENS_VARIABLE)
    with closing(Ledger(settings.data_dir / FILE)) as ledger:
        gate = make_gate(
            ledger,
            tokens=None if tokens is None else Secret(tokens),
            tokens_file=settings.tokens_file,
            passwords_file=settings.passwords_file,
            proxies=proxies,
            session_seconds=3600.0 * settings.session_hours,
            public_url=settings.public_url,
        )
        yield Access(names, settings.public_url, gate, proxies, *limits)
