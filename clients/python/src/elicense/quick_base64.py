"""The faster base64 library, where it is installed (`pip install "./clients/python[fast]"`): pybase64.

It refuses what the standard library refuses in its strict mode, so an installation without it takes the same texts
and gives the same bytes, slower.
"""

from binascii import a2b_base64, b2a_base64

_STANDARD_TO_URL = bytes.maketrans(b"+/", b"-_")

try:
    from pybase64 import b64decode, b64encode
except ImportError:  # the base installation

    def decode_url(text: bytes) -> bytes:
        """Decode padded base64url; binascii.Error for a character of no alphabet and for wrong padding.

        The letters that only the other alphabet has are for the caller to refuse.
        """
        # Searching and replacing single bytes runs at the speed of memory, a table does not.
        return a2b_base64(text.replace(b"-", b"+").replace(b"_", b"/"), strict_mode=True)

    def encode_url(data: bytes) -> bytes:
        """Encode as base64url, padded."""
        return b2a_base64(data, newline=False).translate(_STANDARD_TO_URL)

else:

    def decode_url(text: bytes) -> bytes:
        """Decode padded base64url; binascii.Error for a character of no alphabet and for wrong padding.

        The letters that only the other alphabet has are for the caller to refuse.
        """
        return b64decode(text, altchars=b"-_", validate=True)

    def encode_url(data: bytes) -> bytes:
        """Encode as base64url, padded."""
        return b64encode(data, altchars=b"-_")
