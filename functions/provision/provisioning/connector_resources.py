"""The resources of one connector, in the order in which they are made; the stream comes last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka_maxcompute.control.kms import secret_name
from provisioning import network
from provisioning.resources.broker_group import BrokerGroup
from provisioning.resources.broker_topics import broker_topics
from provisioning.resources.event_stream import EventStream
from provisioning.resources.foreign_stream import ForeignStream
from provisioning.resources.grants import Grants
from provisioning.resources.group import Group
from provisioning.resources.ledger import ConnectorLedger
from provisioning.resources.policy import FUNCTIONS_ONLY, PROVISIONER, Attachment, Policy, least_policy, secret_policy
from provisioning.resources.role import Role, principal
from provisioning.resources.service_linked_roles import NEEDED, ServiceLinkedRole
from provisioning.resources.settings_record import SettingsRecord
from provisioning.resources.start import Start
from provisioning.resources.table import Table
from provisioning.resources.topics import own_topics
from provisioning.resources.trigger import Trigger

if TYPE_CHECKING:
    from kafka_maxcompute.settings.settings import Settings
    from provisioning.request import Request
    from provisioning.resource import AnyResource, AnyStream


RECORDS = (SettingsRecord, ConnectorLedger)
"""What nobody could write by hand."""


def resources(request: Request, account: str) -> tuple[AnyResource, ...]:
    """All of them, for the account that they are in."""
    settings = request.settings
    return (
        Role(settings.role),
        *(ServiceLinkedRole(name, service) for name, service in NEEDED.items()),
        Table(settings, request.columns, wanted=request.create_table),
        Grants(
            principal(account, settings.role),
            settings.project,
            settings.table,
            counts=settings.grant_select and settings.delivery == "exactly-once",
        ),
        *_topics_and_group(settings),
        *((ConnectorLedger(settings, request.change, request.start),) if settings.delivery == "exactly-once" else ()),
        *((Start(request),) if request.start else ()),
        SettingsRecord(request),
        stream(request),
    )


def _topics_and_group(settings: Settings) -> tuple[AnyResource, ...]:
    """By the service's API, or by the brokers themselves."""
    if settings.control == "admin":
        return (*broker_topics(settings), BrokerGroup(settings))
    return (*own_topics(settings), Group(settings.instance_id, settings.region, settings.group))


def before_deploy(request: Request, account: str) -> tuple[AnyResource, ...]:
    """What a deploy of template.yml needs: functions name roles that must exist."""
    settings, secret = request.settings, secret_name(request.settings.sasl_password)
    document = least_policy(account, settings.region, settings.role, settings.instance_id)
    return (
        Role(settings.role),
        *(ServiceLinkedRole(name, service) for name, service in NEEDED.items()),
        Role(PROVISIONER, FUNCTIONS_ONLY),
        Policy(PROVISIONER, document),
        Attachment(PROVISIONER, PROVISIONER),
        *(_reading(secret, settings, account) if secret else ()),
    )


def _reading(secret: str, settings: Settings, account: str) -> tuple[AnyResource, ...]:
    """The right of both functions to read the secret with the brokers' password, in a policy of the connector's own."""
    name = f"connect-secret-{settings.name}"
    document = secret_policy(account, settings.region, secret)
    return Policy(name, document), Attachment(name, settings.role), Attachment(name, PROVISIONER)


def left_alone(request: Request, resource: AnyResource) -> bool:
    """Whether a resource is for its owner to make and change (D09): in manual mode all but the connector's records."""
    return request.settings.resource_creation == "manual" and not isinstance(resource, RECORDS)


def stream(request: Request) -> AnyStream:
    """The stream, in the one of its two ways that was asked for; without an instance of ApsaraMQ it's not made here."""
    if network.is_foreign(request.settings):
        return ForeignStream(request)
    return Trigger(request) if request.stream == "trigger" else EventStream(request)


def other_stream(request: Request) -> AnyStream:
    """The stream in the way that wasn't asked for, and mustn't be there: each record would be written twice."""
    return EventStream(request) if request.stream == "trigger" else Trigger(request)
