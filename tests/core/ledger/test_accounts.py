"""The chart of accounts."""

from nostrbot.core.ledger import accounts


def test_names_of_accounts() -> None:
    """Sealed in every journal for ever: a renamed account is another account."""
    assert accounts.SATS == "assets:sats"
    assert accounts.PLATFORM == "liabilities:platform"
    assert accounts.OPERATOR == "equity:operator"
    assert accounts.machine_cash("m1") == "assets:cash:m1"
    assert accounts.lp_sats("ana") == "liabilities:lp:ana:sats"
    assert accounts.lp_cash("ana", "m1") == "liabilities:lp:ana:cash:m1"
    assert accounts.party("ab") == "liabilities:party:ab"


def test_only_an_lp_may_not_be_overdrawn() -> None:
    """Its sats and its cash alike; the operator, the platform and assets may be."""
    assert accounts.may_not_be_overdrawn(accounts.lp_sats("ana"))
    assert accounts.may_not_be_overdrawn(accounts.lp_cash("ana", "m1"))
    for account in (accounts.SATS, accounts.PLATFORM, accounts.OPERATOR, accounts.machine_cash("m1")):
        assert not accounts.may_not_be_overdrawn(account)
