"""The client: online through the API (`Elicense`), offline with a bundle (`OfflineVerifier`); errors in `errors`.

Import the public names from `elicense`.
"""
