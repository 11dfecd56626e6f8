"""What tests of dumps share."""

from collections.abc import Iterator

import pytest

from tests.dumps import hypervisor
from tests.dumps.hypervisor import Hypervisor


@pytest.fixture(scope="session")
def libvirt() -> Iterator[Hypervisor]:
    """It takes some ten seconds to learn what QEMU can do."""
    with hypervisor.started() as libvirt:
        yield libvirt
