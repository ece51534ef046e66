"""The client: online through the API (`Elicense`, `AsyncElicense`), offline with a bundle (`OfflineVerifier`).

Errors are in `errors`. Import the public names from `elicense`.
"""
