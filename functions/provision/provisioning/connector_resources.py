"""The resources of one connector, in the order of their creation; the stream comes last."""

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
"""Resources that nobody can create by hand."""


def resources(request: Request, account: str) -> tuple[AnyResource, ...]:
    """Return all resources of a connector in an account."""
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
    """Return topics and group, as resources of the service's API or of the brokers."""
    if settings.control == "admin":
        return (*broker_topics(settings), BrokerGroup(settings))
    return (*own_topics(settings), Group(settings.instance_id, settings.region, settings.group))


def before_deploy(request: Request, account: str) -> tuple[AnyResource, ...]:
    """Return the resources that a deploy of template.yml needs: functions name roles, which must exist."""
    settings, secret = request.settings, secret_name(request.settings.sasl_password)
    document = least_policy(account, settings.region, settings.role, settings.instance_id)
    return (
        Role(settings.role),
        *(ServiceLinkedRole(name, service) for name, service in NEEDED.items()),
        Role(PROVISIONER, FUNCTIONS_ONLY),
        Policy(PROVISIONER, document),
        Attachment(PROVISIONER, PROVISIONER),
        *(_right_to_secret(secret, settings, account) if secret else ()),
    )


def _right_to_secret(secret: str, settings: Settings, account: str) -> tuple[AnyResource, ...]:
    """Return the connector's policy that lets both functions read the secret with the brokers' password."""
    name = f"connect-secret-{settings.name}"
    document = secret_policy(account, settings.region, secret)
    return Policy(name, document), Attachment(name, settings.role), Attachment(name, PROVISIONER)


def is_manual(request: Request, resource: AnyResource) -> bool:
    """Return whether only a person creates and changes a resource (D09): in manual mode, all but `RECORDS`."""
    return request.settings.resource_creation == "manual" and not isinstance(resource, RECORDS)


def stream(request: Request) -> AnyStream:
    """Return the stream of the requested kind; without an instance of ApsaraMQ, a person creates the stream."""
    if network.is_foreign(request.settings):
        return ForeignStream(request)
    return Trigger(request) if request.stream == "trigger" else EventStream(request)


def other_stream(request: Request) -> AnyStream:
    """Return the stream of the other kind; if both kinds ran, each record would be written twice."""
    return EventStream(request) if request.stream == "trigger" else Trigger(request)
