"""Settings: the file, the environment over it, and one clear message for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.auth.principal import Role
from app.errors import ConfigurationError
from app.settings import RouteSettings, Settings, load

FILE = """
[server]
port = 9000

[auth]
issuer = "https://login.example.com/"
audience = "tradegraph"
jwks_file = "keys.json"

[sources.erp]
vendor = "tryton"
base_url = "http://127.0.0.1:8069/"
timeout = 2.5
credentials = { api_key_file = "erp.key", user = "gateway" }
options = { order_code_pattern = "^SO-" }

[sources.erp2]
vendor = "rest"
base_url = "https://erp2.example.com/api"

[sources.commerce]
vendor = "vendure"
base_url = "http://127.0.0.1:3400"

[sources.logistics]
vendor = "karrio"
base_url = "http://127.0.0.1:5002"

[domains]
customers = { master = "erp" }
contents = { master = "commerce" }
orders = { master = "erp", enrich = ["commerce"] }
shipments = { master = "erp", enrich = ["logistics"] }
stock = { master = "erp", reservations = ["commerce"], balances = { WH-WEST = "logistics" } }

[[routes]]
customers = ["CUST-04*", "CUST-0500"]
source = "erp2"
exclusive = true
"""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine, no settings file of the folder."""
    import os

    for name in [name for name in os.environ if name.startswith("TRADEGRAPH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "erp.key").write_text("s3cret\n")
    path = tmp_path / "tradegraph.toml"
    path.write_text(FILE)
    return path


def refusal(path: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return str(caught.value)


def test_file_is_read_with_its_secrets(file: Path):
    settings = load(file)
    erp = settings.sources["erp"]
    assert settings.server.port == 9000
    assert (erp.base_url, erp.timeout, erp.options) == ("http://127.0.0.1:8069", 2.5, {"order_code_pattern": "^SO-"})
    assert {key: value.get_secret_value() for key, value in erp.credentials.items()} == {
        "api_key": "s3cret",
        "user": "gateway",
    }
    assert settings.auth.jwks_file == file.parent / "keys.json"
    assert settings.domains.stock is not None
    assert settings.domains.stock.balances == {"WH-WEST": "logistics"}
    assert settings.domains.orders is not None
    assert settings.domains.orders.enrich == ("commerce",)
    assert settings.routes == (RouteSettings(customers=("CUST-04*", "CUST-0500"), source="erp2", exclusive=True),)
    assert [settings.routes[0].matches(number) for number in ("CUST-0401", "CUST-0500", "CUST-0501")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("role", Role)
def test_every_role_can_have_limits_a_budget_and_trusted_documents(file: Path, role: Role):
    file.write_text(f"""
[limits]
introspection = ["{role}"]
roles.{role} = {{ max_cost = 7 }}
[budgets]
show = ["{role}"]
roles.{role} = {{ capacity = 8 }}
[documents]
trusted_roles = ["{role}"]
""")
    settings = load(file)
    assert settings.limits.introspection == settings.budgets.show == settings.documents.trusted_roles == (role,)
    assert {name: limits.max_cost for name, limits in settings.limits.roles.items()} == {role: 7}
    assert settings.budgets.roles[role].capacity == 8


def test_unknown_role_is_refused_with_those_there_are(file: Path):
    file.write_text('[documents]\ntrusted_roles = ["csr_boss"]\n')
    assert refusal(file) == (
        "documents.trusted_roles = 'csr_boss': is not a role; known here: admin, agent, buyer, buyer_admin, csr, "
        "csr_lead, finance, operations, partner, sales_rep"
    )


def test_secrets_are_in_no_representation(file: Path):
    settings = load(file)
    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_without_a_file_there_are_defaults():
    assert load() == Settings()


def test_file_of_the_folder_is_taken_and_another_by_variable(file: Path, monkeypatch: pytest.MonkeyPatch):
    assert load().server.port == 9000
    other = file.parent / "other.toml"
    other.write_text("[server]\nport = 9001\n")
    monkeypatch.setenv("TRADEGRAPH_CONFIG", str(other))
    assert load().server.port == 9001


def test_variable_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRADEGRAPH_SERVER__PORT", "9002")
    monkeypatch.setenv("TRADEGRAPH_SOURCES__ERP__CREDENTIALS__API_KEY", "007")
    monkeypatch.setenv("TRADEGRAPH_SOURCES__ERP__BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TRADEGRAPH_AUTH__ALGORITHMS", '["ES256"]')
    monkeypatch.setenv("TRADEGRAPH_IDE", "true")
    (file.parent / "tradegraph.toml").write_text(FILE.replace('api_key_file = "erp.key", ', ""))
    settings = load(file)
    assert (settings.server.port, settings.ide, settings.auth.algorithms) == (9002, True, ("ES256",))
    erp = settings.sources["erp"]
    assert (erp.vendor, erp.base_url, erp.timeout) == ("tryton", "http://127.0.0.1:1", 2.5)
    assert {key: value.get_secret_value() for key, value in erp.credentials.items()} == {
        "user": "gateway",
        "api_key": "007",
    }


ERP = '[sources.erp]\nvendor = "rest"\nbase_url = "http://a"\n'
ADDRESS = "should be http:// or https:// with a host and nothing after the path, such as http://127.0.0.1:8069"

SOURCE_KEYS = (
    "base_url, breaker, callers, concurrency, credentials, limits, max_response_bytes, options, poll, tenant, "
    "timeout, vendor, webhooks"
)
ALGORITHMS = "'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA', 'Ed25519' or 'HS256'"

TIER = '[[intake.approvals.tiers]]\nname = "manager"\nrole = "buyer_admin"\n'
BAD_FILES = {
    "typo in a section": (
        "[server]\nprot = 1",
        "server.prot = 1: unknown setting; did you mean 'port'?",
    ),
    "typo of a section": (
        "[servr]\nport = 1",
        "servr = '{...}': unknown setting; did you mean 'server'?",
    ),
    "typo in a source": (
        '[sources.erp]\nvendor = "rest"\nbase_ulr = "http://a"',
        "sources.erp.base_url = None: is required and missing",
    ),
    "unknown key of a source": (
        '[sources.erp]\nvendor = "rest"\nbase_url = "http://a"\ntimeuot = 1',
        "sources.erp.timeuot = 1: unknown setting; did you mean 'timeout'?",
    ),
    "unknown domain": (
        '[domains]\ncustomer = { master = "erp" }',
        "domains.customer = '{...}': unknown setting; did you mean 'customers'?",
    ),
    "unknown key of a domain": (
        '[domains]\norders = { master = "erp", enriches = ["a"] }',
        "domains.orders.enriches = ['a']: unknown setting; did you mean 'enrich'?",
    ),
    "unknown master": (
        '[sources.erp]\nvendor = "rest"\nbase_url = "http://a"\n[domains]\norders = { master = "epr" }',
        "domains.orders.master = 'epr': no source of that name under [sources]; did you mean 'erp'?",
    ),
    "lease that a request outlasts": (
        f"{ERP}timeout = 2\n[domains]\norders = {{ master = 'erp', write = 'erp' }}\n[intake]\nlease = 9",
        "intake.lease = 9.0: must not be shorter than sources.erp.limits.timeouts.order_submissions, 10 seconds",
    ),
    "master without sources": (
        '[domains]\norders = { master = "erp" }',
        "domains.orders.master = 'erp': no source of that name under [sources]; none is configured",
    ),
    "unknown enriching source": (
        f'{ERP}[domains]\norders = {{ master = "erp", enrich = ["shop"] }}',
        "domains.orders.enrich[0] = 'shop': no source of that name under [sources]; known here: erp",
    ),
    "unknown source of a balance": (
        f'{ERP}[domains]\nstock = {{ master = "erp", balances = {{ WH-WEST = "3pl" }} }}',
        "domains.stock.balances.WH-WEST = '3pl': no source of that name under [sources]; known here: erp",
    ),
    "unknown source of a route": (
        '[[routes]]\ncustomers = ["C*"]\nsource = "erp2"',
        "routes[0].source = 'erp2': no source of that name under [sources]; none is configured",
    ),
    "bad address": (
        '[sources.erp]\nvendor = "rest"\nbase_url = "127.0.0.1:8069"',
        "sources.erp.base_url = '127.0.0.1:8069': " + ADDRESS,
    ),
    "address with a query": (
        '[sources.erp]\nvendor = "rest"\nbase_url = "http://a/?x=1"',
        "sources.erp.base_url = 'http://a/?x=1': " + ADDRESS,
    ),
    "number out of range": (
        "[server]\nrequest_timeout = 0",
        "server.request_timeout = 0: should be greater than 0",
    ),
    "wrong type": (
        '[server]\nport = "http"',
        "server.port = 'http': should be a valid integer, unable to parse string as an integer",
    ),
    "none as algorithm": (
        '[auth]\nalgorithms = ["none"]',
        "auth.algorithms[0] = 'none': should be " + ALGORITHMS,
    ),
    "issuer with a mistyped key": (
        '[[auth.issuers]]\nissuer = "https://a.example.com"\naudiense = "x"',
        "auth.issuers[0].audiense = 'x': unknown setting; did you mean 'audience'?",
    ),
    "namespace that is no word": (
        '[auth]\nnamespace = "Acme:"',
        "auth.namespace = 'Acme:': String should match pattern '^[a-z0-9][a-z0-9-]{0,39}$'",
    ),
    "Redis that is not waited for": (
        "[redis]\ntimeout = 0",
        "redis.timeout = 0: should be greater than or equal to 0.01",
    ),
    "too much leeway": ("[auth]\nleeway = 61", "auth.leeway = 61: should be less than or equal to 60"),
    "approval rules without tiers": (
        '[[intake.approvals.rules]]\nname = "all"',
        "intake.approvals = '{...}': rules and limits need tiers; configure [[intake.approvals.tiers]]",
    ),
    "last tier with a limit": (
        f"{TIER}up_to = 5",
        "intake.approvals = '{...}': the last tier approves orders of any amount; remove its up_to",
    ),
    "tiers that do not ascend": (
        f"{TIER}{TIER}".replace("buyer_admin", "csr_lead", 1).replace("manager", "first", 1),
        "intake.approvals = '{...}': each tier but the last has an up_to, in ascending order",
    ),
    "two tiers of one role": (
        f"{TIER}up_to = 5\n{TIER}".replace("manager", "first", 1),
        "intake.approvals = '{...}': each tier has a name and a role of its own",
    ),
    "rule with an unknown tier": (
        f'{TIER}[[intake.approvals.rules]]\nname = "all"\ntiers = ["boss"]',
        "intake.approvals = '{...}': rule 'all' names tier 'boss', which is none of tiers",
    ),
    "rule with the name of the limit": (
        f'{TIER}[[intake.approvals.rules]]\nname = "spend_limit"',
        (
            "intake.approvals = '{...}': each rule has a name of its own, and none is "
            "monthly_spend_limit, quarterly_spend_limit, spend_limit"
        ),
    ),
    "negative limit": (
        f"{TIER}[intake.approvals.limits]\nann = -1",
        "intake.approvals.limits.ann = -1: should be greater than or equal to 0",
    ),
    "tier of an unknown role": (
        TIER.replace("buyer_admin", "boss"),
        "intake.approvals.tiers = 'boss': is not a role; known here: " + ", ".join(sorted(Role)),
    ),
    "approvals without prices": (
        f'[intake]\nchecks = ["item"]\n{TIER}',
        "intake = '{...}': approvals need the checks item and price",
    ),
    "secret in the wrong place": (
        f'{ERP}api_key = "s3cret"',
        "sources.erp.api_key = '(hidden)': unknown setting; known here: " + SOURCE_KEYS,
    ),
    "secret of the wrong type": (
        '[sources.erp]\nvendor = "rest"\nbase_url = "http://a"\ncredentials = { api_key = 12345 }',
        "sources.erp.credentials.api_key = '(hidden)': should be a valid string",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_wrong_file_stops_with_key_value_and_cure(tmp_path: Path, text: str, message: str):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    assert refusal(path) == message


BAD_VARIABLES = {
    "SERVER__PORT": ("abc", "'abc': should be a valid integer, unable to parse string as an integer"),
    "SERVER__PROT": ("1", "'1': unknown setting; did you mean 'port'?"),
    "SERVR__PORT": ("1", "'1': unknown setting; did you mean 'server'?"),
    "ENGIN": ("plan", "'plan': unknown setting; did you mean 'engine'?"),
    "ENGINE": ("fast", "'fast': should be 'plan' or 'reference'"),
    "AUTH__ALGORITHMS": ("RS256", "'RS256': a list or table is written in JSON here, such as [\"RS256\"]"),
    "LOG__LEVEL": ("loud", "'loud': should be 'debug', 'info', 'warning' or 'error'"),
}


@pytest.mark.parametrize("name", BAD_VARIABLES)
def test_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str):
    value, message = BAD_VARIABLES[name]
    monkeypatch.setenv(f"TRADEGRAPH_{name}", value)
    assert refusal() == f"TRADEGRAPH_{name} = {message}"


def test_variables_that_a_platform_sets_are_let_be(monkeypatch: pytest.MonkeyPatch):
    """Kubernetes gives every container variables by the name of each service."""
    monkeypatch.setenv("TRADEGRAPH_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("TRADEGRAPH_PORT", "tcp://10.0.0.1:80")
    assert load() == Settings()


def test_missing_file_is_named(tmp_path: Path):
    path = tmp_path / "absent.toml"
    assert refusal(path) == f"config = '{path}': there is no such file; name another with --config"


def test_broken_toml_is_reported_with_line_and_column(tmp_path: Path):
    path = tmp_path / "broken.toml"
    path.write_text("[server\nport = 1")
    assert refusal(path).startswith(f"config = '{path}': is not valid TOML: ")
    assert "line 1" in refusal(path)


def test_missing_credential_file_is_named(file: Path):
    (file.parent / "erp.key").unlink()
    missing = file.parent / "erp.key"
    assert refusal(file) == (
        "sources.erp.credentials.api_key_file = 'erp.key': cannot be read (No such file or directory); "
        f"make the file {missing} or correct the path"
    )


def test_empty_credential_file_is_named(file: Path):
    (file.parent / "erp.key").write_text("\n")
    assert refusal(file) == (
        f"sources.erp.credentials.api_key_file = 'erp.key': is empty; write the secret into {file.parent / 'erp.key'}"
    )


def test_more_issuers_are_read_with_their_files(tmp_path: Path):
    (tmp_path / "acme.pem").write_text("-----BEGIN PUBLIC KEY-----\n")
    path = tmp_path / "tradegraph.toml"
    path.write_text("""
[auth]
issuer = "https://login.example.com/"
audience = "tradegraph"

[[auth.issuers]]
issuer = "https://id.acme.example.com"
audience = "partners"
public_key_file = "acme.pem"
claims = { roles = "realm_access.roles" }
customers = ["CUST-0001"]

[[auth.issuers]]
issuer = "https://id.globex.example.com"
audience = "partners"
jwks_file = "keys/globex.json"
""")
    acme, globex = load(path).auth.issuers
    assert (acme.public_key, acme.claims.roles, acme.claims.customers) == (
        "-----BEGIN PUBLIC KEY-----",
        "realm_access.roles",
        "customers",
    )
    assert globex.jwks_file == tmp_path / "keys" / "globex.json"
