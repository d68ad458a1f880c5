"""Words of receipts and notices: what people are told without asking, in sentences.

What lives here: a receipt, what voids or freezes one, and what an enrolment, a freed key or a new key of the bot mean
for somebody. What does not: their data and whom they go to (messages/receipts.py). docs/protocol.md sections 4 and 6.
"""

from nostrbot.core.plain import View


def receipt_words(receipt: View) -> str:
    """Return a receipt as people read it: the answer to `receipt`, and a message when a leg is completed."""
    if receipt["status"] == "voided":
        return f"Receipt {receipt['receipt']} of {receipt['sats']} sats is void: `history` shows what replaced it."
    if receipt["fiat"] is None:
        bought = f"You received {receipt['sats']} sats of commission"
    else:
        bought = f"You received {receipt['sats']} sats for {receipt['fiat']} {receipt['currency']}"
        bought += f" ({receipt['rate']} sats per {receipt['currency']})"
    lines = [f"{bought} at {receipt['machine']}, {receipt['operator']}."]
    if receipt["corrects"]:
        lines.insert(
            0, f"Corrected, in place of {', '.join(receipt['corrects'])}: your operator corrected the amount dispensed."
        )
    if receipt["balance_after"] is not None:
        lines.append(f"Left in the machine: {receipt['balance_after']} {receipt['currency']}.")
    apart = "out of the operator's own sats" if receipt["fiat"] else "commission that had waited for your key"
    what = f"settlement {receipt['settlement']}" if receipt["settlement"] else apart
    lines.append(f"Receipt {receipt['receipt']}, {what}, tag {receipt['tag']}.")
    lines.append(f"Journal entry {receipt['entry']} {receipt['entry_hash']}")
    return "\n".join(lines)


def void_words(where: str, number: int, legs: list[int], *, entry: int, entry_hash: str) -> str:
    """Tell an LP that receipts of it are void and nothing replaces them; `where`: machine, operator."""
    which = ", ".join(f"l{leg}" for leg in legs)
    return (
        f"Void: receipt {which} of settlement s{number} at {where}. The sale did not take place as "
        f"reported; your cash is as it was before. `balance` shows it.\nJournal entry {entry} {entry_hash}"
    )


def payment_void_words(where: str, leg: int, given_back: str, *, entry: int, entry_hash: str) -> str:
    """Tell an LP that a payment apart from any sale is taken back; `where`: machine, operator."""
    return (
        f"Void: receipt l{leg} at {where}. Your operator took this payment back: {given_back}. "
        f"`balance` shows it.\nJournal entry {entry} {entry_hash}"
    )


def frozen_words(where: str, sats: int, sales: int, *, entry: int, entry_hash: str) -> str:
    """Tell an LP that sats of it are frozen; `where`: machine, operator."""
    what = "a sale" if sales == 1 else f"{sales} sales"
    return (
        f"Frozen: {sats} sats of {what} at {where}. The machine's key may have been stolen, so your operator looks "
        "into "
        f"each sale; until then these sats are kept and cannot leave. `balance` shows them.\n"
        f"Journal entry {entry} {entry_hash}"
    )


def moved_void_words(where: str, legs: list[int], *, entry: int, entry_hash: str) -> str:
    """Tell an LP that all that had waited for its key is gone, because its sales were undone."""
    which = ", ".join(f"l{leg}" for leg in legs)
    return (
        f"Void: receipt {which} of commission at {where}. The sales it came from did not take place as reported. "
        f"`balance` shows what is yours.\nJournal entry {entry} {entry_hash}"
    )


def enrolled_words(operator: str, machine: str, name: str) -> str:
    """Tell an LP of another operator that this operator enrolled it."""
    return (
        f"{operator} enrolled you as {name} at {machine}. It does not know your choices with other operators, and you "
        f"take no part there, until you send `join`. If you do not know {operator}, do nothing."
    )


def freed_words(key: str, machine: str) -> str:
    """Tell an operator that the platform took a machine's key from it."""
    return (
        f"The platform took the key {key} of {machine} from your book. From now on I reject what this key reports to "
        f"you, and another operator may enrol it. To go on with {machine}, give it another key: machine rotate "
        f"{machine} <npub>. "
        "If it is your machine, ask the platform."
    )


def key_free_words(key: str) -> str:
    """Tell an operator that a machine's key it was refused is free now."""
    return f"The key {key}, which you wanted to enrol, is free now: send your `machine add` or `machine rotate` again."


def rotated_words(old: str, new: str) -> str:
    """Tell people that the bot has another key; both are npubs."""
    return (
        f"I have a new key: {new}. Write to it from now on; I do not read messages to {old} any more. The old key "
        f"named the new one and the platform countersigned it, for everybody to see. Your balances are as they were."
    )
