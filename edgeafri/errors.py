"""Every failure a user may meet: what is wrong, what to do next, and the exit code that scripts see."""

OK = 0
USAGE = 2
MISSING_PACKAGE = 3
BAD_INPUT = 4
GATE_FAILED = 5
INTERRUPTED = 130


class EdgeAfriError(Exception):
    """A failure with a next step.

    `message` says what is wrong and where; `hint` says what to do about it, in a sentence or a command. The hint is a
    note of the exception too, so that a notebook and a plain traceback show it.
    """

    exit_code = BAD_INPUT

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.add_note(hint)

    def __reduce__(self) -> tuple[type["EdgeAfriError"], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class UsageError(EdgeAfriError):
    """A name, an option or a combination of options that does not exist."""

    exit_code = USAGE


class ConfigError(EdgeAfriError):
    """A recipe, a profile or a setting that cannot be read as what it should be."""

    exit_code = USAGE


class MissingPackage(EdgeAfriError):
    """A package or a tool that this step needs is not installed."""

    exit_code = MISSING_PACKAGE


class DataError(EdgeAfriError):
    """Labelled or raw text that cannot be used as it is."""


class ModelError(EdgeAfriError):
    """A model folder that cannot be read, or does not fit the task or the data."""


class HubError(EdgeAfriError):
    """A model that had to be downloaded and could not be."""


class ArtifactError(EdgeAfriError):
    """An artifact or a bundle whose files are not what its manifest says."""


class StorageError(EdgeAfriError):
    """A folder that cannot be written, or a disk that is full."""


class WorkerError(EdgeAfriError):
    """A worker process died before it answered."""


class DeviceError(EdgeAfriError):
    """A device that cannot be reached, cannot run what was asked, or failed while it did."""


class ConnectionLost(DeviceError):
    """The way to a device broke while something was going on there."""


class TrainingError(EdgeAfriError):
    """A training that cannot go on: its loss is NaN or infinite."""
