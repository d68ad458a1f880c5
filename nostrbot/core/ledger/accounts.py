"""The chart of accounts, and the one statement of the sign convention.

What lives here: the names of accounts and the sign of what they hold. What does not: which event touches which account
(core/atm/booking.py). Debits are positive and credits negative, in every account. So an asset we hold is positive, what
we owe (liabilities) and what is the operator's own (equity) are negative. Sums per unit are zero, always.

    assets:sats                       satoshis the operator holds for everyone in this book
    assets:cash:<machine>             cash in a machine
    liabilities:platform              sats owed to the platform (its fee)
    liabilities:platform:held         those of them that are on their way out: held for its open payouts
    liabilities:lp:<lp>:sats          sats owed to a liquidity provider
    liabilities:lp:<lp>:held          an LP's sats that are held for its open payouts, their fee caps with them
    liabilities:lp:<lp>:cash:<m>      an LP's cash still in machine <m>: its remaining balance
    liabilities:party:<pubkey>        sats owed to someone else named in a commission split
    liabilities:customer:s<n>         sats owed back to a customer who got less cash than settlement n reported
    equity:operator                   the operator's own part, in sats and in cash
    equity:operator:held              the operator's own sats that are held for its open payouts
    equity:variance:<machine>         cash found, or missing, when the operator counted a machine's cassettes
"""

SAT = "sat"

SATS = "assets:sats"
PLATFORM = "liabilities:platform"
OPERATOR = "equity:operator"
PLATFORM_HELD = "liabilities:platform:held"
OPERATOR_HELD = "equity:operator:held"

LP_PREFIX = "liabilities:lp:"
_NEVER_OVERDRAWN = (LP_PREFIX, PLATFORM_HELD, OPERATOR_HELD)


def machine_cash(machine: str) -> str:
    """Name the account of the cash in a machine."""
    return f"assets:cash:{machine}"


def lp_sats(lp: str) -> str:
    """Name the account of the sats owed to an LP."""
    return f"{LP_PREFIX}{lp}:sats"


def lp_held(lp: str) -> str:
    """Name the account of the sats that are held for an LP's open payouts: still the LP's, and not free."""
    return f"{LP_PREFIX}{lp}:held"


def lp_cash(lp: str, machine: str) -> str:
    """Name the account of the cash an LP has left in a machine."""
    return f"{LP_PREFIX}{lp}:cash:{machine}"


def party(pubkey: str) -> str:
    """Name the account of the sats owed to a party that is neither the operator nor one of its LPs."""
    return f"liabilities:party:{pubkey}"


def customer(settlement: int) -> str:
    """Name the account of the sats owed back to the customer of a settlement."""
    return f"liabilities:customer:s{settlement}"


def variance(machine: str) -> str:
    """Name the account of the difference between a machine's counted and expected cash."""
    return f"equity:variance:{machine}"


def may_not_be_overdrawn(account: str) -> bool:
    """Whether an account must stay on its side of zero: an LP never owes us (acceptance X4), and no hold is less than none."""
    return account.startswith(_NEVER_OVERDRAWN)
