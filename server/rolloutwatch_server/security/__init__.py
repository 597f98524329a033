"""The doors: who may reach what, and how much one request may bring.

From outside in, a request passes: headers of the answer, limits of URL and headers, known hosts, origins,
the guard (who is it, may they), limits of streams and bodies. Routes behind it need no code of their own;
one that wants to know who asks calls `identity_of`.
"""

from rolloutwatch_server.security.access import Access, link_to, opened
from rolloutwatch_server.security.identity import Identity, identity_of
from rolloutwatch_server.security.roles import Role
from rolloutwatch_server.security.secret import AccessError, Secret

__all__ = ["Access", "AccessError", "Identity", "Role", "Secret", "identity_of", "link_to", "opened"]
