"""download: a model from the hub into its local cache. Not a stage: it only brings files, in a process of its own."""

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from requests.exceptions import RequestException

from edgeafri.artifact import MODEL_FILES
from edgeafri.documents.torch_requests import Download
from edgeafri.errors import HubError

_PICKLED = ["pytorch_model*.bin", "pytorch_model*.bin.index.json"]
_SECONDS = 5


def download(name: str, offline: bool) -> Download:
    """Bring the weights, configuration and tokenizer of a hub model. HubError where that cannot be."""
    folder = _snapshot(name, list(MODEL_FILES), offline)
    pickled = not any(folder.glob("*.safetensors"))
    if pickled:
        folder = _snapshot(name, [*list(MODEL_FILES), *_PICKLED], offline)
    return Download(folder=folder, revision=folder.name, pickled=pickled)


def _snapshot(name: str, patterns: list[str], offline: bool) -> Path:
    try:
        found = huggingface_hub.snapshot_download(
            name, allow_patterns=patterns, etag_timeout=_SECONDS, local_files_only=offline
        )
    except HFValidationError:
        raise HubError(f"{name}: no such folder here, and not a hub id", "A hub id reads org/name.") from None
    except RepositoryNotFoundError:
        hint = "Check the spelling on the hub; for a private model log in first with `hf auth login`."
        raise HubError(f"{name}: no such folder here and no such model on the hub", hint) from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, RequestException, OSError) as error:
        reason = "offline" if offline else (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = "Go online and run this again, or copy the model's folder here and give its path with --teacher DIR."
        raise HubError(f"{name}: no such folder here, and the hub could not be reached ({reason})", hint) from None
    return Path(found)
