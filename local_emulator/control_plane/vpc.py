"""VPC 2016-04-28, as far as it tells which vSwitch is in which VPC: those of the Kafka instances, and what is added."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from local_emulator.control_plane.alikafka.entities import Kafka
from local_emulator.control_plane.dispatch import Action, Product

if TYPE_CHECKING:
    from local_emulator.control_plane.dispatch import Call

_LONGEST_PAGE = 50


class Switch(msgspec.Struct):
    """A vSwitch."""

    id: str
    vpc: str
    zone: str = "cn-hangzhou-b"


class Vpc(msgspec.Struct):
    """The vSwitches that no Kafka instance is in, by their ids."""

    switches: dict[str, Switch] = {}


def list_switches(call: Call) -> dict[str, object]:
    """DescribeVSwitches, in numbered pages; ids that aren't there are left out."""
    number, size = call.number("PageNumber", 1, 1, 10**6), call.number("PageSize", 10, 1, _LONGEST_PAGE)
    region, wanted, vpc = call.text("RegionId", call.rules.region), call.text("VSwitchId"), call.text("VpcId")
    instances = call.state.part(Kafka).instances.values()
    switches = {
        **{one.vswitch: Switch(one.vswitch, one.vpc, one.zone) for one in instances},
        **call.state.part(Vpc).switches,
    }
    found = [
        switch
        for name, switch in sorted(switches.items())
        if region == call.rules.region and wanted in {"", name} and vpc in {"", switch.vpc}
    ]
    page = found[(number - 1) * size : number * size]
    return {
        "VSwitches": {
            "VSwitch": [
                {"VSwitchId": one.id, "VpcId": one.vpc, "ZoneId": one.zone, "Status": "Available"} for one in page
            ]
        },
        "TotalCount": len(found),
        "PageNumber": number,
        "PageSize": size,
    }


PRODUCT = Product(
    "Vpc",
    "2016-04-28",
    MappingProxyType(
        {"DescribeVSwitches": Action(list_switches, "vpc:DescribeVSwitches", "acs:vpc:{region}:{account}:vswitch/*")}
    ),
)
