"""The browser tests can fail: what a page must not do is heard."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Complaints
from tests.browser.site import Site

OFFENCES = {
    "console.error('spilt milk')": "spilt milk",
    "console.trace('too much ado')": "too much ado",
    "console.warn('thin ice')": "thin ice",
    "setTimeout(() => { throw new Error('lost marbles') })": "lost marbles",
    "fetch('http://localhost:9/away').catch(() => {})": "Connecting to 'http://localhost:9/away' violates",
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_an_error_a_warning_and_a_request_that_leaves_the_host_are_heard(
    offence: str, site: Site, page: Page, complaints: Complaints
) -> None:
    complaints.expected.append("")  # here it is meant
    found = Complaints()
    found.listen(page)
    page.goto(site.url)
    page.evaluate(f"() => {{ {offence} }}")
    for _ in range(400):
        if any(OFFENCES[offence] in text for text in found.heard):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"not heard: {found.heard}")
