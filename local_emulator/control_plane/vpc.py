"""VPC 2016-04-28: only the list of vSwitches, which are those of the Kafka instances and those added to the account."""

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
    """The vSwitches without a Kafka instance, by their ids."""

    switches: dict[str, Switch] = {}


def list_switches(call: Call) -> dict[str, object]:
    """DescribeVSwitches, in numbered pages; unknown ids are left out."""
    number, size = call.number("PageNumber", 1, 1, 10**6), call.number("PageSize", 10, 1, _LONGEST_PAGE)
    region, wanted, vpc = call.text("RegionId", call.rules.region), call.text("VSwitchId"), call.text("VpcId")
    instances = call.state.part(Kafka).instances.values()
    switches = {
        **{instance.vswitch: Switch(instance.vswitch, instance.vpc, instance.zone) for instance in instances},
        **call.state.part(Vpc).switches,
    }
    matching = [
        switch
        for name, switch in sorted(switches.items())
        if region == call.rules.region and wanted in {"", name} and vpc in {"", switch.vpc}
    ]
    page = matching[(number - 1) * size : number * size]
    return {
        "VSwitches": {
            "VSwitch": [
                {"VSwitchId": switch.id, "VpcId": switch.vpc, "ZoneId": switch.zone, "Status": "Available"}
                for switch in page
            ]
        },
        "TotalCount": len(matching),
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
