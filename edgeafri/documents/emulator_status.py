"""What `edgeafri emulator status` prints."""

from dataclasses import dataclass

from edgeafri.documents.base import Document, omitted_when_none


@dataclass(frozen=True, kw_only=True)
class EmulatorStatus(Document):
    """Whether the emulator in `folder` can be used: of what versions it is, or `why` not and what to do `next`."""

    ready: bool
    folder: str
    qemu: str | None = omitted_when_none()
    python: str | None = omitted_when_none()
    onnxruntime: str | None = omitted_when_none()
    processors: tuple[str, ...] | None = omitted_when_none()
    why: str | None = omitted_when_none()
    next: str | None = omitted_when_none()
