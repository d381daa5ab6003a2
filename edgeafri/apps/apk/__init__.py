"""The phone app: from a bundle to a signed, aligned, verified APK, made with Debian's packages alone."""

from edgeafri.apps.apk.build import build_apk

__all__ = ["build_apk"]
