"""What must never reach a model: files that by their name or their content hold keys or passwords."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

_NAMES = (
    ".env", ".env.*", "*.env", ".envrc", ".netrc", "_netrc", ".pgpass", ".my.cnf", ".npmrc", ".pypirc", ".htpasswd",
    ".htdigest", ".git-credentials", ".dockercfg", ".vault-token", ".s3cfg", ".boto", ".terraformrc", "credentials",
    "credentials.json", "secrets.json", "secrets.yml", "secrets.yaml", "secrets.toml", "client_secret*.json",
    "service-account*.json", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk", "*.pem",
    "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.kdb", "*.ppk", "*.asc.key", "*.tfstate",
    "*.tfstate.*",
)  # fmt: skip
_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".azure", ".gcloud", ".docker", ".git"})
_HARMLESS = re.compile(r"\.(?:example|sample|template|dist)$|^(?:example|sample|template)\.env$")
_KEY_BLOCK = re.compile(rb"\s*-----BEGIN (?:[A-Z0-9 ]+ )?PRIVATE KEY(?: BLOCK)?-----")


def is_secret_name(path: Path) -> bool:
    """Whether a file of this name, or in such a folder, is one that holds keys or passwords."""
    name = path.name.lower()
    if any(part.lower() in _FOLDERS for part in path.parts[:-1]):
        return True
    return not _HARMLESS.search(name) and any(fnmatch(name, pattern) for pattern in _NAMES)


def holds_secret(head: bytes) -> bool:
    """Whether a file that begins so is a private key."""
    return _KEY_BLOCK.match(head) is not None
