"""Inbound webhooks that are refused."""

from __future__ import annotations

from app.errors.base import RequestError


class WebhookRefused(RequestError):
    """What came to `/webhooks/...` was not kept."""


class WebhookSourceUnknown(WebhookRefused):
    """No source of that name sends webhooks."""

    code = "WEBHOOK_SOURCE_UNKNOWN"
    http_status = 404
    default = "No source of this name accepts webhooks."


class WebhookNetworkRefused(WebhookRefused):
    """The request comes from where this source is not."""

    code = "WEBHOOK_NETWORK_REFUSED"
    http_status = 403
    default = "Webhooks of this source are not accepted from this address."


class WebhookUnsigned(WebhookRefused):
    """The headers that prove who sent it are missing."""

    code = "WEBHOOK_UNSIGNED"
    http_status = 401
    default = "The webhook carries no signature or secret."


class WebhookForeign(WebhookRefused):
    """It names another shop or tenant than the source's, where several sign with one secret."""

    code = "WEBHOOK_FOREIGN"
    http_status = 403
    default = "The webhook is of another shop than this source's."


class WebhookForged(WebhookRefused):
    """The signature or the secret is not of any live secret, or the body is not what was signed."""

    code = "WEBHOOK_FORGED"
    http_status = 401
    default = "The webhook's signature or secret is invalid."


class WebhookExpired(WebhookRefused):
    """It was signed too long ago, or in the future."""

    code = "WEBHOOK_EXPIRED"
    http_status = 401
    default = "The webhook timestamp is outside the allowed window."


class WebhookMalformed(WebhookRefused):
    """The body is no object, or not of the documented shape."""

    code = "WEBHOOK_MALFORMED"
    default = "The webhook body does not match the format of this source."
