"""Other spellings of a name that look like it."""


def full_width(text: str) -> str:
    """Return a text with its ASCII letters, digits and signs as letters of full width."""
    return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)
